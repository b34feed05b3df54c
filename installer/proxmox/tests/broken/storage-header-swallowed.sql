UPDATE tree SET data = CAST('dir: local
	path /var/lib/vz
	content iso,backups
lvmthin: local-lvm
	thinpool data
	vgname pve
' AS BLOB) WHERE name = 'storage.cfg';
