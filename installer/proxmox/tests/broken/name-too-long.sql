UPDATE tree SET name = printf('%0256d', 1) WHERE name = 'user.cfg';
