UPDATE tree SET name = '0100.conf' WHERE name = '100.conf'; UPDATE tree SET name = '7.conf', parent = (SELECT inode FROM tree WHERE name = 'lxc') WHERE name = 'blob';
