# Labels of ZFS on a disk that is chosen and one that is not.
# disks: 1 + 1
# outcome: spans
# says: zfs_member
zfs "$D1" && zfs "$K1"
