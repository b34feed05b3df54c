UPDATE tree SET data = zeroblob(1048577) WHERE name = 'blob';
