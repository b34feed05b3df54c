# Two volume groups of the name that the product's own gets, each with an active volume, as two disks of former nodes have them.
# disks: 2
# outcome: erased
pvcreate -qqy "$D1" && vgcreate -qq pve "$D1" && lvcreate -qqy -L 64M -n root pve && lvchange -qq -an pve/root && udevadm settle
pvcreate -qqy --devices "$D2" "$D2" && vgcreate -qq --devices "$D2" pve "$D2" && lvcreate -qqy --devices "$D2" -L 64M -n data pve
lvchange -qq -ay --devices "$D1" pve/root
[ "$(vgs --noheadings -o vg_name | grep -c pve)" = 2 ] && [ "$(dmsetup ls | grep -c '^pve-')" = 2 ]
