# File systems without a partition table, one beside the remains of another.
# disks: 2
# outcome: erased
mkfs.xfs -q -K -f "$D1" && zfs "$D1"
mkswap -q "$D2" && printf 'CD001' | dd of="$D2" bs=1 seek=32769 conv=notrunc status=none
