UPDATE tree SET parent = 'nodes' WHERE name = '100.conf';
