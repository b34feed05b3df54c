UPDATE tree SET name = x'757365722e636667' WHERE name = 'user.cfg';
