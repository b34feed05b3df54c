UPDATE tree SET type = 260, name = CAST(x'5f5f76657273696f6e5f5f0078' AS TEXT) WHERE inode = 0;
