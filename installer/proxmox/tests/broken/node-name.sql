UPDATE tree SET name = 'node_1' WHERE name = 'node1';
