# One file system on a disk that is chosen and one that is not.
# disks: 1 + 1
# outcome: spans
# says: btrfs
btrfs 2 "$D1" "$K1"
