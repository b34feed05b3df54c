# An array with a partition table of its own, and a volume group on its second partition.
# disks: 2
# outcome: erased
array /dev/md/parts --run --metadata=1.2 --level=1 --raid-devices=2 --assume-clean "$D1" "$D2"
printf 'label: gpt\n,100M,U\n,,V\n' | sfdisk -q /dev/md/parts; udevadm settle
pvcreate -qqy "$(readlink -f /dev/md/parts)p2" && vgcreate -qq inarray "$(readlink -f /dev/md/parts)p2" && lvcreate -qqy -L 64M -n home inarray
