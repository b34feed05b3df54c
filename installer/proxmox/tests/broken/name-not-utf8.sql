UPDATE tree SET name = CAST(x'ff1b5b' AS TEXT) WHERE name = 'user.cfg';
