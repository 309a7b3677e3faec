LOCK TABLE projections, operations IN ACCESS EXCLUSIVE MODE;
DROP FUNCTION lease_lost();
DROP VIEW projection_operations;
DELETE FROM operations WHERE subject_kind <> 'projection' OR kind NOT IN ('rebuild', 'rollback', 'verify', 'repair');
DROP INDEX operations_latest;
DROP INDEX projection_operations_running;
ALTER TABLE operations
    DROP COLUMN of_projection,
    DROP COLUMN trouble_at,
    DROP COLUMN trouble,
    DROP COLUMN subject_kind;
ALTER TABLE operations RENAME COLUMN subject TO projection;
ALTER TABLE operations RENAME TO projection_operations;
ALTER TABLE projection_operations
    ADD CONSTRAINT projection_operations_kind_check CHECK (kind IN ('rebuild', 'rollback', 'verify', 'repair')),
    ADD CONSTRAINT projection_operations_projection_fkey FOREIGN KEY (projection) REFERENCES projections (name) ON DELETE CASCADE;
CREATE UNIQUE INDEX projection_operations_running ON projection_operations (projection) WHERE state = 'running';
CREATE INDEX projection_operations_latest ON projection_operations (projection, created_at);
