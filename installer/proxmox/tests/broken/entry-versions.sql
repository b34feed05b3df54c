UPDATE tree SET version = 1 WHERE name = 'blob' AND inode > 1; UPDATE tree SET version = 99 WHERE name = 'user.cfg';
