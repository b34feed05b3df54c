# Somebody has mounted a file system inside a guest's disk, which lsblk does not show below the disk.
# disks: 1
# outcome: stopped
# says: /mnt/guest
# undo: loop=$(findmnt -no SOURCE /mnt/guest); umount /mnt/guest; losetup -d "$loop"; vgremove -qqffy images
pvcreate -qqy "$D1" && vgcreate -qq images "$D1" && lvcreate -qqy -L 500M -n vm-disk images && mkfs.ext4 -q /dev/images/vm-disk
mkdir -p /mnt/guest && mount -o ro "$(losetup -f --show /dev/images/vm-disk)" /mnt/guest
