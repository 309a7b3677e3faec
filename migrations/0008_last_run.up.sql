-- When somebody last ran a generation: whose rows the view is to show, and which are no longer needed,
-- is judged by it. The default is that of this moment for all rows that are there: nothing is rewritten.
ALTER TABLE projection_generations ADD COLUMN last_run_at timestamptz NOT NULL DEFAULT now();
