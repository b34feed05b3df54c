# The first copy of the partition table is gone, so that only the backup at the end of the disk tells of the partitions.
# disks: 1
# outcome: erased
printf 'label: gpt\n,500M,L\n,,L\n' | sfdisk -q "$D1"; udevadm settle
mkfs.xfs -q -K "$(part "$D1" 1)" && dd if=/dev/zero of="$D1" bs=512 count=34 conv=notrunc status=none
partx -d "$D1"; partprobe -s "$D1" >/dev/null 2>&1 || true; udevadm settle
