UPDATE tree SET name = 'version' WHERE inode = 0;
