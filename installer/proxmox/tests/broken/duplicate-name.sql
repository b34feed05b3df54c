UPDATE tree SET name = 'blob' WHERE name = 'user.cfg';
