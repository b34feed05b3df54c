# What layouts share: see ../README.md.

# The node of a disk's partition.
part() { case $1 in *[0-9]) echo "${1}p$2" ;; *) echo "$1$2" ;; esac; }

# Makes an array or a container of arrays, of the name that comes first. mdadm gives udev 5 s to make the link, too little on a loaded host,
# and ends with 4 then.
array() {
    mdadm -q --create "$@" || { udevadm settle && [ -b "$1" ]; }
}

# Makes a container of version 1 or 2 on a device and opens it under a name.
luks() {
    printf old | cryptsetup luksFormat -q --type "luks$1" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file - "$2"
    printf old | cryptsetup open --key-file - "$2" "$3"
}

# Writes labels: zfs DEVICE; btrfs NUMBER DEVICE...; bcache backing|cache DEVICE NUMBER. What has one NUMBER belongs together.
zfs() { python3 /run/layouts/lib/labels.py zfs "$@"; }
btrfs() { python3 /run/layouts/lib/labels.py btrfs "$@"; }
bcache() { python3 /run/layouts/lib/labels.py bcache "$@"; }
