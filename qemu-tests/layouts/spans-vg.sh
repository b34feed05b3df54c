# A volume group of a disk that is chosen and one that is not.
# disks: 1 + 1
# outcome: stopped
# says: the volume group span-vg
# undo: vgremove -qqffy span-vg && pvremove -qqffy "$D1" "$K1"
pvcreate -qqy "$D1" "$K1" && vgcreate -qq span-vg "$D1" "$K1" && lvcreate -qqy -l 100%FREE -n all span-vg
