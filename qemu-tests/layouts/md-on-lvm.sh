# The wrong way round: an array of two logical volumes.
# disks: 2
# outcome: erased
pvcreate -qqy "$D1" "$D2" && vgcreate -qq upside "$D1" "$D2"
for n in 1 2; do lvcreate -qqy -L 200M -n "leg$n" upside; done
array /dev/md/upside --run --metadata=1.2 --level=1 --raid-devices=2 --assume-clean /dev/upside/leg1 /dev/upside/leg2
