-- UP
ALTER TABLE users ADD COLUMN display_name text;

-- DOWN
ALTER TABLE users DROP COLUMN display_name;
