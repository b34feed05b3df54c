# One file system on two disks.
# disks: 2
# outcome: erased
btrfs 1 "$D1" "$D2" && wipefs "$D1" | grep -c btrfs >/dev/null && wipefs "$D2" | grep -c btrfs >/dev/null
