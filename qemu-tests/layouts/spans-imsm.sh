# Firmware RAID over a disk that is chosen and one that is not: its signature has no UUID.
# disks: 1 + 1
# outcome: spans
# says: isw_raid_member
export IMSM_NO_PLATFORM=1 IMSM_DEVNAME_AS_SERIAL=1
array /dev/md/imsm1 --run --metadata=imsm --raid-devices=2 "$D1" "$K1" && mdadm -q --stop /dev/md/imsm1
