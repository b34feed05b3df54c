UPDATE tree SET name = 'a/b' WHERE name = 'user.cfg';
