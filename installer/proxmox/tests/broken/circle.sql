UPDATE tree SET parent = (SELECT inode FROM tree WHERE name = 'qemu-server') WHERE name = 'node1';
