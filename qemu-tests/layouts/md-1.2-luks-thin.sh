# What this product itself makes: a mirror, a container on it that is open, a thin pool with a volume and its snapshot, all active.
# disks: 2
# outcome: erased
for d in "$D1" "$D2"; do printf 'label: gpt\n,,R\n' | sfdisk -q "$d"; done; udevadm settle
array /dev/md/old12 --run --metadata=1.2 --level=1 --raid-devices=2 --assume-clean "$(part "$D1" 1)" "$(part "$D2" 1)"
luks 2 /dev/md/old12 old-luks
pvcreate -qqy /dev/mapper/old-luks && vgcreate -qq thin-old /dev/mapper/old-luks
lvcreate -qqy --type thin-pool -L 256M -n data thin-old && lvcreate -qqy -V 1G --thinpool data -n vm-disk thin-old
mkfs.ext4 -q /dev/thin-old/vm-disk && lvcreate -qqy -s -n vm-snap thin-old/vm-disk && lvchange -qq -ay -Ky thin-old/vm-snap
