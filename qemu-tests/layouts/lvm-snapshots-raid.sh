# A volume with a snapshot of the old kind, and one that LVM itself mirrors.
# disks: 2
# outcome: erased
pvcreate -qqy "$D1" "$D2" && vgcreate -qq snaps "$D1" "$D2"
lvcreate -qqy -L 64M -n plain snaps && mkfs.ext4 -q /dev/snaps/plain && lvcreate -qqy -s -L 32M -n before snaps/plain
lvcreate -qqy --type raid1 -m 1 -L 64M --nosync -n mirrored snaps
