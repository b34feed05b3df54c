# A GPT whose partitions an MBR names too, and one that the MBR alone has.
# disks: 1
# outcome: erased
sgdisk -Z "$D1" >/dev/null 2>&1; sgdisk -n 1:2048:+100M -n 2:0:+100M -h 1:EE "$D1" >/dev/null && udevadm settle
mkfs.vfat -n OLD "$(part "$D1" 1)" >/dev/null && mkfs.ext4 -q -L OLD "$(part "$D1" 2)"
# Entry 3: type 83, from sector 2097152 on, 204800 sectors.
printf '\0\0\0\0\203\0\0\0\0\0\040\0\0\040\003\0' | dd of="$D1" bs=1 seek=478 conv=notrunc status=none
mkfs.ext4 -q -E offset=1073741824 "$D1" 100M
