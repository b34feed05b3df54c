# An array of the oldest kind, its superblock at the end of a partition of an MBR, one member missing; ext4 on it.
# disks: 1
# outcome: erased
printf 'label: dos\n2048,,fd\n' | sfdisk -q "$D1"; udevadm settle
array /dev/md/old090 --run --metadata=0.90 --level=1 --raid-devices=2 "$(part "$D1" 1)" missing
mkfs.ext4 -q -E nodiscard /dev/md/old090 200M
