# The four labels of a ZFS vdev, two at each end of a partition: uberblocks (magic 0x00bab10c) from 128 KiB on in each 256 KiB.
# disks: 1
# outcome: erased
printf 'label: gpt\n2048,2G\n,,L\n' | sfdisk -q "$D1"; udevadm settle
zfs "$(part "$D1" 1)" && wipefs "$(part "$D1" 1)" | grep -c zfs_member >/dev/null
