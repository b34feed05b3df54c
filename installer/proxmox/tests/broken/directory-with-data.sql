UPDATE tree SET data = 'x' WHERE name = 'priv';
