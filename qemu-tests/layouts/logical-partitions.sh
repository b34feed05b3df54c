# An extended partition with logical ones in it, and a volume group on the last; and a mapping of somebody's own making.
# disks: 1
# outcome: erased
printf 'label: dos\n2048,100M,c\n,,5\n,200M,83\n,400M,8e\n,400M,83\n' | sfdisk -q "$D1"; udevadm settle
pvcreate -qqy "$(part "$D1" 6)" && vgcreate -qq logical "$(part "$D1" 6)" && lvcreate -qqy -L 64M -n srv logical
dmsetup create by-hand --table "0 2048 linear $(part "$D1" 7) 0"
