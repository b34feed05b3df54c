DELETE FROM tree WHERE name = 'token.cfg'; DELETE FROM tree WHERE name = 'priv' AND parent = 0;
