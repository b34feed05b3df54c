UPDATE tree SET name = '__version__' WHERE name = 'blob';
