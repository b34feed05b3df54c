# A stripe over whole disks with superblocks at their ends, without a partition table; swap on it.
# disks: 2
# outcome: erased
array /dev/md/old10 --run --metadata=1.0 --level=0 --raid-devices=2 "$D1" "$D2"
mkswap -q /dev/md/old10
