ALTER TABLE projection_generations
    DROP COLUMN changes,
    DROP COLUMN changes_kept,
    DROP COLUMN changes_after,
    DROP COLUMN changes_to;
DROP TABLE projection_changes_ahead;
DROP TABLE projection_changes;
DROP TABLE projection_feeds;
