UPDATE tree SET data = CAST('scsi0: local-lvm:vm-100-disk-0,size=8G
scsi1: tank:base-9001-disk-0/vm-100-disk-0,size=8G
' AS BLOB) WHERE name = '100.conf';
INSERT INTO tree VALUES (50, (SELECT inode FROM tree WHERE name = 'qemu-server'), 50, 0, 0, 8, '200.conf', CAST('scsi0: local-lvm:vm-100-disk-0,size=8G
scsi1: tank:vm-100-disk-0,size=8G
unused0: local-lvm:vm-100-disk-0
' AS BLOB));
UPDATE tree SET data = CAST(CAST(data AS TEXT) || 'zfspool: tank
	pool tank
	content images

' AS BLOB) WHERE name = 'storage.cfg';
UPDATE tree SET version = 50 WHERE inode = 0;
