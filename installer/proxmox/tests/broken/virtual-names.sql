UPDATE tree SET name = 'local' WHERE name = 'blob'; UPDATE tree SET name = '.rrd' WHERE name = 'user.cfg';
