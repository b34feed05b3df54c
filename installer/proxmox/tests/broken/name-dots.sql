UPDATE tree SET name = '..' WHERE name = 'user.cfg'; UPDATE tree SET name = '.' WHERE name = 'blob';
