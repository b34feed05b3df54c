# A disk with a cache, both registered with the kernel, which shows them as one; ext4 on that.
# disks: 2
# outcome: erased
bcache backing "$D1" 1 && bcache cache "$D2" 1 && modprobe bcache
echo "$D2" > /sys/fs/bcache/register; echo "$D1" > /sys/fs/bcache/register; udevadm settle
for n in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/bcache0 ] && break; sleep 1; done
mkfs.ext4 -q -E nodiscard /dev/bcache0 200M
