-- What changed in rows of projections that keep their changes. New tables, and columns without defaults: it
-- waits for nobody for long.

-- A feed is numbered by itself, without gaps. Its row outlives the projection, for numbers are never used
-- again: one that is dropped and made anew goes on with the feed.
CREATE TABLE projection_feeds (
    projection text        COLLATE "C" PRIMARY KEY,
    -- The number of its last change, and when that was written; at never runs backwards along numbers.
    last       bigint      NOT NULL DEFAULT 0,
    last_at    timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- Changes are written in the transaction that writes the rows, behind the lock on the checkpoint: so they become
-- visible in the order of their numbers.
CREATE TABLE projection_changes (
    projection text        COLLATE "C" NOT NULL,
    number     bigint      NOT NULL,
    -- The event that made it, by its position in the log; for a row that was repaired and for rows that were
    -- replaced, the position that the rows were at.
    position   bigint      NOT NULL,
    at         timestamptz NOT NULL,
    id         uuid        NOT NULL,
    kind       text        COLLATE "C" NOT NULL CHECK (kind IN ('insert', 'modify', 'remove', 'replace')),
    -- The columns of the key, and those of the row before and after, as far as they are kept. Of rows that were
    -- replaced, new says by what.
    key        json,
    old        json,
    new        json,
    PRIMARY KEY (projection, number)
);

-- Changes that a generation has which is ahead of the one that the view shows: they are in the feed once
-- the view shows it.
CREATE TABLE projection_changes_ahead (
    projection text    COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    position   bigint  NOT NULL,
    ordinal    bigint  NOT NULL,
    id         uuid    NOT NULL,
    kind       text    COLLATE "C" NOT NULL,
    key        json    NOT NULL,
    old        json,
    new        json,
    PRIMARY KEY (projection, generation, position, ordinal),
    FOREIGN KEY (projection, generation) REFERENCES projection_generations ON DELETE CASCADE
);

ALTER TABLE projection_generations
    -- What the program that ran it last keeps of changes, and for how long. NULL: nothing.
    ADD COLUMN changes       text,
    ADD COLUMN changes_kept  interval,
    -- Behind changes_after all changes are kept, up to changes_to. Where that is not the checkpoint, a program
    -- that keeps none has been at work since.
    ADD COLUMN changes_after bigint,
    ADD COLUMN changes_to    bigint;
