UPDATE tree SET name = CAST(x'626c6f620031' AS TEXT) WHERE name = 'user.cfg';
