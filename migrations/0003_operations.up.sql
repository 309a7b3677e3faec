-- Long work on projections (rebuild, rollback, verify, repair), kept here so that any process can go
-- on with it. Columns with constant defaults and new tables: it waits for nobody for long.

ALTER TABLE projection_generations
    -- False while rows are copied to a table without indexes: nobody applies events to it.
    ADD COLUMN built      boolean     NOT NULL DEFAULT true,
    -- When another generation of the same version took its place; it is kept to go back to.
    ADD COLUMN retired_at timestamptz;

CREATE TABLE projection_operations (
    id               uuid        PRIMARY KEY,
    projection       text        COLLATE "C" NOT NULL REFERENCES projections (name) ON DELETE CASCADE,
    kind             text        NOT NULL CHECK (kind IN ('rebuild', 'rollback', 'verify', 'repair')),
    -- Programs that know this version of the projection may work on it.
    version          integer     NOT NULL CHECK (version > 0),
    options          jsonb       NOT NULL,
    -- The generation that it works on; 0 until that is decided.
    generation       integer     NOT NULL DEFAULT 0,
    state            text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    cancel           boolean     NOT NULL DEFAULT false,
    requested_by     text        NOT NULL,

    -- How far it is, as its process said last.
    phase            text        NOT NULL DEFAULT 'waiting',
    target           bigint      NOT NULL DEFAULT 0,
    position         bigint      NOT NULL DEFAULT 0,
    events           bigint      NOT NULL DEFAULT 0,
    events_per_second double precision NOT NULL DEFAULT 0,
    seconds_left     double precision,
    buckets          integer     NOT NULL DEFAULT 0,
    buckets_done     integer     NOT NULL DEFAULT 0,

    -- Lease: the owner may write while epoch is the one it was given. Time is the server's.
    owner            text,
    epoch            bigint      NOT NULL DEFAULT 0,
    lease_expires_at timestamptz,

    -- Not jsonb, which cannot hold all that rows can.
    result           json,
    error            text,
    hint             text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);

-- One at a time per projection, whoever starts it.
CREATE UNIQUE INDEX projection_operations_running ON projection_operations (projection) WHERE state = 'running';
CREATE INDEX projection_operations_latest ON projection_operations (projection, created_at);

-- Buckets of a rebuild whose rows are in the table. A row is written in the transaction that copies
-- the rows.
CREATE TABLE projection_buckets (
    operation uuid    NOT NULL REFERENCES projection_operations ON DELETE CASCADE,
    bucket    integer NOT NULL,
    rows      bigint  NOT NULL,
    -- The events that were read for it, up to the target. All buckets must have the same.
    events    bigint  NOT NULL,
    digest    bytea   NOT NULL CHECK (octet_length(digest) = 16),
    PRIMARY KEY (operation, bucket)
);
