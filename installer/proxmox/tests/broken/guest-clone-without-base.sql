UPDATE tree SET data = CAST('scsi0: nas:9001/base-9001-disk-0.qcow2/100/vm-100-disk-0.qcow2,size=8G
scsi1: nas:9001/base-9001-disk-1.qcow2/100/vm-100-disk-1.qcow2,size=8G
' AS BLOB) WHERE name = '100.conf';
INSERT INTO tree VALUES (48, (SELECT inode FROM tree WHERE name = 'nodes'), 48, 0, 0, 4, 'node2', NULL), (49, 48, 49, 0, 0, 4, 'qemu-server', NULL), (51, 48, 51, 0, 0, 4, 'lxc', NULL), (52, 48, 52, 0, 0, 4, 'priv', NULL);
INSERT INTO tree VALUES (50, 49, 50, 0, 0, 8, '9001.conf', CAST('scsi0: nas:9001/base-9001-disk-0.qcow2,size=8G
template: 1
' AS BLOB));
UPDATE tree SET data = CAST(CAST(data AS TEXT) || 'nfs: nas
	export /srv
	path /mnt/pve/nas
	server 192.0.2.9

' AS BLOB) WHERE name = 'storage.cfg';
UPDATE tree SET version = 52 WHERE inode = 0;
