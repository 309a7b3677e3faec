-- Up to where tables of others were relayed into the log (recount relay). A new table: it waits for nobody.
CREATE TABLE relays (
    -- The name of the table, as the relay was given it.
    name     text        COLLATE "C" PRIMARY KEY,
    -- The number of the last row that is in the log; 0: none, or rows are deleted.
    position bigint      NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
