# An array of which udev has found one member alone: inactive.
# disks: 2
# outcome: erased
array /dev/md/half --run --metadata=1.2 --level=1 --raid-devices=2 --assume-clean "$D1" "$D2"
mdadm -q --stop /dev/md/half; udevadm settle
mdadm -q --incremental "$D1" --no-degraded || true
grep -q inactive /proc/mdstat
