UPDATE tree SET name = CAST(x'7573657200' AS TEXT) WHERE name = 'user.cfg';
