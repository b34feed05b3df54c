UPDATE tree SET parent = (SELECT inode FROM tree WHERE name = 'storage.cfg') WHERE name = 'user.cfg';
