UPDATE tree SET data = CAST('scsi0: local-lvm:vm-100-disk-0,size=8G
' AS BLOB) WHERE name = '100.conf';
UPDATE tree SET data = CAST('dir: local
	path /var/lib/vz
	content iso

lvmthin: local-lvm
	thinpool data
	vgname pve
	content images
	nodes node2,node3

' AS BLOB) WHERE name = 'storage.cfg';
