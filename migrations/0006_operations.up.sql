-- Operations are those of subjects of any kind. A program of before goes on with the view that has the
-- table's old name; what it writes there is about a projection.

-- In the order in which programs lock them.
LOCK TABLE projections, projection_operations IN ACCESS EXCLUSIVE MODE;

ALTER TABLE projection_operations RENAME TO operations;
ALTER TABLE operations RENAME COLUMN projection TO subject;
ALTER TABLE operations
    DROP CONSTRAINT projection_operations_projection_fkey,
    -- Kinds are those that programs know.
    DROP CONSTRAINT projection_operations_kind_check,
    ADD COLUMN subject_kind text COLLATE "C" NOT NULL DEFAULT 'projection',
    -- What interrupted it last; it goes on.
    ADD COLUMN trouble      text,
    ADD COLUMN trouble_at   timestamptz,
    -- An operation goes with the projection that it is about. The table is small: it may be rewritten.
    ADD COLUMN of_projection text COLLATE "C" GENERATED ALWAYS AS (CASE WHEN subject_kind = 'projection' THEN subject END) STORED
        REFERENCES projections (name) ON DELETE CASCADE;

-- Programs of before know by this name that another operation is running.
DROP INDEX projection_operations_running;
CREATE UNIQUE INDEX projection_operations_running ON operations (subject_kind, subject) WHERE state = 'running';
DROP INDEX projection_operations_latest;
CREATE INDEX operations_latest ON operations (subject_kind, subject, created_at);

CREATE VIEW projection_operations AS
SELECT id, subject AS projection, kind, version, options, generation, state, cancel, requested_by,
       phase, target, position, events, events_per_second, seconds_left, buckets, buckets_done,
       owner, epoch, lease_expires_at, result, error, hint, created_at, updated_at, finished_at
FROM operations WHERE subject_kind = 'projection';

-- Who was allowed to use the table is allowed to use the view.
DO $$
DECLARE
    allowed record;
BEGIN
    FOR allowed IN
        SELECT a.privilege_type AS what, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'operations'::regclass AND a.grantee <> c.relowner
          AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON projection_operations TO %s', allowed.what, allowed.who);
    END LOOP;
END
$$;

-- Ends a transaction whose lease is lost; see projection_fenced, which programs of before call.
CREATE FUNCTION lease_lost() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the lease was lost: it was taken over, or what it is for was paused, moved or cancelled' USING ERRCODE = 'RC001';
END
$$;
