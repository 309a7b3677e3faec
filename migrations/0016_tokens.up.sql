-- Tokens by which servers know who sends requests (recount tokens). A new table: it waits for nobody.
CREATE TABLE tokens (
    -- The part of the token that may be shown.
    id           text        COLLATE "C" PRIMARY KEY,
    -- The App whose servers know it.
    app          text        COLLATE "C" NOT NULL,
    -- Who it is, as events have it.
    name         text        COLLATE "C" NOT NULL,
    -- SHA-256 of the whole token, which is kept nowhere.
    hash         bytea       NOT NULL CHECK (octet_length(hash) = 32),
    roles        text[]      NOT NULL,
    -- The part of the log that the roles are for; both empty: all of it.
    categories   text[]      NOT NULL,
    prefixes     text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by   text        NOT NULL,
    expires_at   timestamptz,
    -- To the minute.
    last_used_at timestamptz,
    revoked_at   timestamptz,
    revoked_by   text
);
CREATE INDEX tokens_of ON tokens (app, name);
