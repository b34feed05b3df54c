DELETE FROM tree WHERE inode = 0;
