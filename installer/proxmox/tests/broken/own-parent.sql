UPDATE tree SET parent = inode WHERE name = 'nodes';
