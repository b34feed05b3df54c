UPDATE tree SET type = 264 WHERE name = 'blob';
