UPDATE tree SET version = -1 WHERE inode = 0;
