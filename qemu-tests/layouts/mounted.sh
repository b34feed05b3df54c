# Somebody looks at an old file system at a shell.
# disks: 1
# outcome: in use
# says: /mnt/old
# undo: umount /mnt/old
printf 'label: gpt\n,500M,L\n' | sfdisk -q "$D1"; udevadm settle
mkfs.ext4 -q "$(part "$D1" 1)" && mkdir -p /mnt/old && mount -o ro "$(part "$D1" 1)" /mnt/old
