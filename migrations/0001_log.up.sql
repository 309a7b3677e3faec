-- The log and what belongs to it. Names are unqualified: they resolve through
-- search_path, which the migration runner sets to the schema of the log.
--
-- Nothing of the log is ever updated: under a long snapshot every update would
-- leave a row version that each reader has to step over.

-- Whoever appends locks this row first. It is locked, never updated.
CREATE TABLE log_lock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO log_lock VALUES (true);

-- The lives of the log. The first store to open the log writes the first row;
-- a restore or a failover that may have lost events adds one, by hand.
CREATE TABLE log_incarnations (
    n                 bigint PRIMARY KEY CHECK (n > 0),
    log_id            uuid NOT NULL,
    -- Events at or below this position are those of the life before.
    from_position     bigint NOT NULL,
    system_identifier bigint NOT NULL,
    timeline          bigint NOT NULL,
    database_oid      bigint NOT NULL,
    started_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Rows of these two are written in transactions of their own, ahead of the
-- first append that needs them.
CREATE TABLE event_types (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text COLLATE "C" NOT NULL,
    schema_version integer NOT NULL,
    content_type   text COLLATE "C" NOT NULL,
    UNIQUE (name, schema_version, content_type)
);
CREATE TABLE categories (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

-- The id of a stream is the position of its first event.
CREATE TABLE streams (
    id          bigint PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE,
    category_id integer NOT NULL
);

-- Columns are ordered by width, so that none needs padding.
CREATE TABLE events (
    position    bigint PRIMARY KEY CHECK (position > 0),
    stream_id   bigint NOT NULL,
    version     bigint NOT NULL CHECK (version >= 0),
    recorded_at timestamptz NOT NULL,
    id          uuid NOT NULL,
    type_id     integer NOT NULL,
    category_id integer NOT NULL,
    -- How many events of the same append follow this one.
    append_rest integer NOT NULL,
    -- 1: the caller supplied the id; 2: mark of a deletion; 4: tombstone.
    flags       smallint NOT NULL,
    data        bytea NOT NULL,
    metadata    bytea NOT NULL,
    CONSTRAINT events_stream_version UNIQUE (stream_id, version)
);
-- Ids made by the store are never looked up.
CREATE UNIQUE INDEX events_stream_supplied_id ON events (stream_id, id) WHERE flags & 1 <> 0;
CREATE INDEX events_stream_marks ON events (stream_id, version) WHERE flags & 6 <> 0;
CREATE INDEX events_recorded_at ON events USING brin (recorded_at);

-- What callers were answered. The only table here that rows are deleted from.
CREATE TABLE receipts (
    scope       text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    answer      bytea NOT NULL,
    result      bytea NOT NULL,
    stored_at   timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX receipts_stored_at ON receipts (stored_at);

-- Insert-only tables are vacuumed to freeze rows and set the visibility map:
-- at a steady number of inserts, not at a share of a growing table, and each
-- page frozen the first time it is visited.
ALTER TABLE events SET (
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000,
    autovacuum_analyze_scale_factor = 0.1, autovacuum_freeze_min_age = 0);
ALTER TABLE streams SET (
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000,
    autovacuum_freeze_min_age = 0);
ALTER TABLE receipts SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000);

-- lz4 costs a fraction of pglz; a server built without it keeps pglz.
DO $$
BEGIN
    ALTER TABLE events ALTER COLUMN data SET COMPRESSION lz4;
    ALTER TABLE events ALTER COLUMN metadata SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'lz4 is not available, event data is compressed with pglz';
END
$$;

-- jsonb cannot hold all that is JSON (NUL, lone surrogates, huge numbers). What
-- it cannot hold is NULL here; the exact bytes stay in the table.
CREATE FUNCTION try_jsonb(bytes bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN convert_from(bytes, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

-- The log for people who write SQL.
CREATE VIEW event_log AS
SELECT e.position, s.name AS stream, c.name AS category, e.version, e.id, t.name AS type, t.schema_version,
       t.content_type, e.recorded_at, try_jsonb(e.data) AS data, try_jsonb(e.metadata) AS metadata
FROM events e
JOIN streams s ON s.id = e.stream_id
JOIN event_types t ON t.id = e.type_id
JOIN categories c ON c.id = e.category_id;
