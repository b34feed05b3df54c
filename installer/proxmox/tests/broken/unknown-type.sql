UPDATE tree SET type = 10 WHERE name = 'blob';
