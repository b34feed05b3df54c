UPDATE tree SET version = 0 WHERE inode = 0;
