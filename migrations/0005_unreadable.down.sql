ALTER TABLE projection_generations
    DROP COLUMN unreadable,
    DROP COLUMN unreadable_at;
