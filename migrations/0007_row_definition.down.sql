ALTER TABLE projection_generations DROP COLUMN row_definition;
