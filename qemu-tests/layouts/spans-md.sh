# A mirror of a disk that is chosen and one that is not, which nobody has started.
# disks: 1 + 1
# outcome: spans
# says: linux_raid_member
array /dev/md/span --run --metadata=1.2 --level=1 --raid-devices=2 --assume-clean "$D1" "$K1"
mdadm -q --stop /dev/md/span
