UPDATE tree SET inode = -5 WHERE name = 'blob';
