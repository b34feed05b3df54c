CREATE TABLE copy AS SELECT * FROM tree; DROP TABLE tree; ALTER TABLE copy RENAME TO tree;
INSERT INTO tree SELECT * FROM tree WHERE name = 'user.cfg';
