DELETE FROM tree WHERE name = '100.conf'; UPDATE tree SET type = 8 WHERE name = 'qemu-server';
