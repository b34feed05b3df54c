# A guest's disk on a logical volume, shown as a loop device: in it a partition table, a volume group, a container, all open.
# disks: 1
# outcome: erased
pvcreate -qqy "$D1" && vgcreate -qq outer "$D1" && lvcreate -qqy -L 1G -n vm-100-disk-0 outer
printf 'label: gpt\n,200M,L\n,,V\n' | sfdisk -q /dev/outer/vm-100-disk-0
loop=$(losetup -f -P --show /dev/outer/vm-100-disk-0); udevadm settle
mkfs.ext4 -q "${loop}p1" && pvcreate -qqffy "${loop}p2" && vgcreate -qq inner "${loop}p2" && lvcreate -qqy -L 100M -n root inner
luks 2 /dev/inner/root inner-luks
