-- Windows of subscriptions that count events in them. New tables; for the foreign key it waits for transactions that move cursors, and they for it, both a moment.

-- Who has the row has the windows of the partition. Times are microseconds since 1970.
CREATE TABLE window_partitions (
    subscription bigint      NOT NULL,
    partition    integer     NOT NULL,
    -- NULL: there was no event yet.
    watermark    bigint,
    -- When the last events came, and when the watermark was moved last: while nothing comes it goes on with the clock.
    event_at     timestamptz NOT NULL DEFAULT now(),
    ticked_at    timestamptz NOT NULL DEFAULT now(),
    -- How many closings there were, how many events came for a window that had closed, and those of them that were counted in none.
    closed       bigint      NOT NULL DEFAULT 0,
    late         bigint      NOT NULL DEFAULT 0,
    dropped      bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, partition),
    FOREIGN KEY (subscription, partition) REFERENCES subscription_partitions ON DELETE CASCADE
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- Windows that are open, or may be updated still.
CREATE TABLE windows (
    subscription bigint  NOT NULL,
    partition    integer NOT NULL,
    key          text    COLLATE "C" NOT NULL,
    start_at     bigint  NOT NULL,
    end_at       bigint  NOT NULL,
    -- The watermark at which it is to be closed, or forgotten if it is.
    due_at       bigint  NOT NULL,
    closed       boolean NOT NULL,
    closings     bigint  NOT NULL,
    events       bigint  NOT NULL,
    late         bigint  NOT NULL,
    -- The largest of the events that it has counted.
    position     bigint  NOT NULL,
    -- What its values are made from, as JSON.
    state        text    NOT NULL,
    PRIMARY KEY (subscription, key, start_at),
    FOREIGN KEY (subscription, partition) REFERENCES window_partitions ON DELETE CASCADE
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX windows_due ON windows (subscription, partition, due_at);
