DELETE FROM tree WHERE name NOT IN ('__version__', 'storage.cfg', 'priv') OR parent <> 0;
