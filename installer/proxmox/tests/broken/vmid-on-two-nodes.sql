INSERT INTO tree VALUES (50, (SELECT inode FROM tree WHERE name = 'nodes'), 50, 0, 0, 4, 'node2', NULL);
INSERT INTO tree VALUES (51, 50, 51, 0, 0, 4, 'lxc', NULL), (52, 50, 52, 0, 0, 4, 'qemu-server', NULL), (53, 50, 53, 0, 0, 4, 'priv', NULL);
INSERT INTO tree VALUES (54, 51, 54, 0, 0, 8, '100.conf', NULL);
UPDATE tree SET version = 54 WHERE inode = 0;
