# An open container on a running array of a disk that is chosen and one that is not.
# disks: 1 + 1
# outcome: spans
# says: linux_raid_member
array /dev/md/span2 --run --metadata=1.2 --level=1 --raid-devices=2 --assume-clean "$D1" "$K1"
luks 2 /dev/md/span2 span-luks
