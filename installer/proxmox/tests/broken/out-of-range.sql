UPDATE tree SET mtime = 4294967296, writer = -1 WHERE name = 'blob';
