DELETE FROM tree WHERE name IN ('lxc', 'openvz');
