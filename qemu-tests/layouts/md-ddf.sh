# A mirror in a container of the industry's format for RAID controllers, running.
# disks: 2
# outcome: erased
array /dev/md/ddf0 --run --metadata=ddf --raid-devices=2 "$D1" "$D2"
array /dev/md/ddf-vol --run --level=1 --raid-devices=2 --assume-clean /dev/md/ddf0
wipefs "$D1" | grep -c ddf_raid_member >/dev/null
