UPDATE tree SET type = 4, data = x'00' WHERE inode = 0;
