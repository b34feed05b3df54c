# A volume group of which one disk is gone; what is left of it is active.
# disks: 1
# outcome: erased
truncate -s 300M /run/lost && lost=$(losetup -f --show /run/lost)
pvcreate -qqy "$D1" "$lost" && vgcreate -qq partial "$D1" "$lost"
lvcreate -qqy -L 100M -n here partial "$D1" && lvcreate -qqy -L 100M -n gone partial "$lost"
lvchange -qq -an partial/gone && losetup -d "$lost" && rm /run/lost && udevadm settle
vgs -o vg_attr --noheadings partial | grep -q p
