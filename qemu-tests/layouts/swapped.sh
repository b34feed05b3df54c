# Somebody needed memory at a shell.
# disks: 1
# outcome: in use
# says: [SWAP]
# undo: swapoff "$(part "$D1" 1)"
printf 'label: gpt\n,500M,S\n' | sfdisk -q "$D1"; udevadm settle
mkswap -q "$(part "$D1" 1)" && swapon "$(part "$D1" 1)"
