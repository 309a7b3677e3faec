-- What operators did with projections, by whom and why. A new table: it waits for nobody.
CREATE TABLE projection_audit (
    -- The name; what was done with a projection stays when it is dropped.
    projection text        COLLATE "C" NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text        NOT NULL,
    action     text        NOT NULL,
    detail     text        NOT NULL
);
CREATE INDEX projection_audit_latest ON projection_audit (projection, at);
