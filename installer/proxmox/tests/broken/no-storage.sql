DELETE FROM tree WHERE name = 'storage.cfg';
