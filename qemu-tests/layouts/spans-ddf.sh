# A container of a RAID controller over a disk that is chosen and one that is not.
# disks: 1 + 1
# outcome: spans
# says: ddf_raid_member
array /dev/md/ddf1 --run --metadata=ddf --raid-devices=2 "$D1" "$K1" && mdadm -q --stop /dev/md/ddf1
