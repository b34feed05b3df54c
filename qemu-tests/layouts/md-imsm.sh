# A mirror of Intel's firmware RAID, running: a container of two disks and an array in it.
# disks: 2
# outcome: erased
export IMSM_NO_PLATFORM=1 IMSM_DEVNAME_AS_SERIAL=1
array /dev/md/imsm0 --run --metadata=imsm --raid-devices=2 "$D1" "$D2"
array /dev/md/imsm-vol --run --level=1 --raid-devices=2 --assume-clean /dev/md/imsm0
wipefs "$D1" | grep -c isw_raid_member >/dev/null && mkfs.ext4 -q -E nodiscard /dev/md/imsm-vol 200M
