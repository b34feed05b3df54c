DELETE FROM tree WHERE name = 'qemu-server';
