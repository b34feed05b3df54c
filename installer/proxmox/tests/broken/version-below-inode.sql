UPDATE tree SET version = 4 WHERE inode = 0;
