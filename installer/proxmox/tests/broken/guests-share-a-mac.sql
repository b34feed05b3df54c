UPDATE tree SET data = CAST('net0: virtio=BC:24:11:00:00:01,bridge=vmbr0
' AS BLOB) WHERE name = '100.conf';
INSERT INTO tree VALUES (50, (SELECT inode FROM tree WHERE name = 'qemu-server'), 50, 0, 0, 8, '200.conf', CAST('net0: e1000=bc:24:11:00:00:01,bridge=vmbr0
' AS BLOB)), (51, (SELECT inode FROM tree WHERE name = 'qemu-server'), 51, 0, 0, 8, '201.conf', CAST('net0: e1000=bc:24:11:00:00:01,bridge=vmbr0
template: 1
' AS BLOB));
UPDATE tree SET version = 51 WHERE inode = 0;
