UPDATE tree SET parent = 3, type = 4, data = x'00' WHERE inode = 0;
