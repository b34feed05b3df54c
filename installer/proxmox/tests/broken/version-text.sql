UPDATE tree SET version = 'many' WHERE inode = 0;
