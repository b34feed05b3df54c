UPDATE tree SET data = CAST('# web
cores: 0
name: web_1
cipassword verysecret
bios: ovmf
net0: virtio,bridge=vmbr0
scsi0: gone:vm-100-disk-0,size=8G
scsi1: local-lvm:vm-100-disk-0,cache=fast
ide2: local:iso/debian.iso,media=cdrom
[before]
cores: x
' AS BLOB) WHERE name = '100.conf';
