# Containers of both versions, open: one on a partition, one on the whole disk.
# disks: 2
# outcome: erased
printf 'label: gpt\n,1G,L\n,,L\n' | sfdisk -q "$D1"; udevadm settle
luks 1 "$(part "$D1" 1)" old-luks1 && mkfs.ext4 -q -E nodiscard /dev/mapper/old-luks1 200M
luks 2 "$D2" old-luks2 && mkswap -q /dev/mapper/old-luks2
