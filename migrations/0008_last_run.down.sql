ALTER TABLE projection_generations DROP COLUMN last_run_at;
