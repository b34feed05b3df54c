UPDATE tree SET data = 'text' WHERE name = 'blob'; UPDATE tree SET data = 5 WHERE name = 'user.cfg';
