INSERT INTO tree VALUES (50, (SELECT inode FROM tree WHERE name = 'lxc'), 50, 0, 0, 8, '100.conf', NULL);
UPDATE tree SET version = 50 WHERE inode = 0;
