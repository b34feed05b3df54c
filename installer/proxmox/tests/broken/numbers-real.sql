UPDATE tree SET writer = 1.5, mtime = 'now' WHERE name = 'user.cfg';
