UPDATE tree SET name = '' WHERE name = 'user.cfg';
