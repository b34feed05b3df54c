UPDATE tree SET parent = 3, data = x'00' WHERE inode = 0;
