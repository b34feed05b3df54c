UPDATE tree SET type = 5 WHERE inode = 0;
