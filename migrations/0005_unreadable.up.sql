-- What the program that stands aside from a generation cannot read. Columns without defaults: it waits
-- for nobody for long.
ALTER TABLE projection_generations
    ADD COLUMN unreadable    text,
    ADD COLUMN unreadable_at timestamptz;
