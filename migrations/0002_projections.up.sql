-- What the runner of package projections keeps about its projections. New tables only: it waits
-- for nobody.

-- A projection by its stable name. Whoever makes or switches generations locks the row.
CREATE TABLE projections (
    name            text        COLLATE "C" PRIMARY KEY,
    -- What operators want of it, whoever runs it.
    desired         text        NOT NULL DEFAULT 'running' CHECK (desired IN ('running', 'paused')),
    -- The generation that the view with the projection's name shows.
    live_generation integer     NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A generation is one table of rows, made by one version of the projection. Lease and checkpoint
-- are in one row, so that one UPDATE in the transaction that writes the rows moves the checkpoint,
-- extends the lease and keeps out an owner who has lost it.
--
-- The row is updated with every batch: nothing that changes is indexed and pages are kept nearly
-- empty, so the updates stay within their page and are cleaned up there.
CREATE TABLE projection_generations (
    projection       text        COLLATE "C" NOT NULL REFERENCES projections (name) ON DELETE CASCADE,
    generation       integer     NOT NULL CHECK (generation > 0),
    version          integer     NOT NULL CHECK (version > 0),
    -- A hash of columns, indexes and event types: tells a change that forgot to raise the version.
    definition       text        NOT NULL,
    table_name       text        COLLATE "C" NOT NULL UNIQUE,
    -- Programs that know this version of the projection read this generation.
    serving          boolean     NOT NULL,
    -- Below this position the generation is still being built.
    target           bigint      NOT NULL CHECK (target >= 0),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),

    -- Checkpoint: everything up to position is in the rows, or in projection_skips. Events and
    -- digest count the events of the types that the projection handles.
    log_id           uuid        NOT NULL,
    incarnation      bigint      NOT NULL,
    position         bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    events           bigint      NOT NULL DEFAULT 0 CHECK (events >= 0),
    digest           bytea       NOT NULL DEFAULT decode(repeat('00', 16), 'hex') CHECK (octet_length(digest) = 16),
    last_event_at    timestamptz,

    -- Lease: the owner may write while epoch is the one it was given. Time is the server's.
    owner            text,
    epoch            bigint      NOT NULL DEFAULT 0,
    lease_expires_at timestamptz,

    -- Why it stopped, until it is resumed. The event is missing if the log itself is the reason.
    failed_at        timestamptz,
    failed_position  bigint,
    failed_event_id  uuid,
    failed_type      text,
    failed_stream    text,
    failure          text,
    failure_hint     text,

    -- What keeps it from going on now; it is trying again.
    trouble          text,
    trouble_at       timestamptz,

    PRIMARY KEY (projection, generation)
) WITH (
    fillfactor = 10,
    autovacuum_vacuum_threshold = 100,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0
);

CREATE UNIQUE INDEX projection_generations_serving ON projection_generations (projection, version) WHERE serving;

-- Events that an operator left out of a projection.
CREATE TABLE projection_skips (
    projection text        COLLATE "C" NOT NULL,
    generation integer     NOT NULL,
    position   bigint      NOT NULL,
    event_id   uuid        NOT NULL,
    event_type text        NOT NULL,
    -- The error that stopped the projection there.
    failure    text        NOT NULL,
    reason     text        NOT NULL CHECK (reason <> ''),
    actor      text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, generation, position),
    FOREIGN KEY (projection, generation) REFERENCES projection_generations ON DELETE CASCADE
);

-- Ends a transaction whose checkpoint could not move. As an error from the server it does so in the
-- middle of a pipeline, where a client would see the missing row only after the commit.
CREATE FUNCTION projection_fenced() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the projection was taken over, paused or moved by another process' USING ERRCODE = 'RC001';
END
$$;
