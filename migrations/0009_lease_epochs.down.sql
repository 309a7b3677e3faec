ALTER TABLE projection_generations ALTER COLUMN epoch SET DEFAULT 0;
