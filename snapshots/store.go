package snapshots

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsql"
)

// Name is the name of the projection that makes snapshots, and of the view that shows them.
const Name = "snapshots"

// version is that of the table. What is in a state has versions of its own.
const version = 1

// ErrNoTable is returned where no process has run the projection yet.
var ErrNoTable = eventstore.NewError(eventstore.ClassNotFound, "there is no table of snapshots: no process has run the projection "+Name)

// Store is the snapshots of one log. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	view string
}

var _ commands.SnapshotStore = (*Store)(nil)

// NewStore returns access to the snapshots in a schema ("" is recount).
func NewStore(pool *pgxpool.Pool, schema string) *Store {
	if schema == "" {
		schema = pgsql.DefaultSchema
	}
	return &Store{pool: pool, view: pgsql.Name(schema, Name)}
}

// createSQL makes the table of a generation. A state is bytes, not jsonb, so that its checksum holds.
const createSQL = `
CREATE TABLE {table} (
    decider        text        COLLATE "C" NOT NULL,
    stream         text        COLLATE "C" NOT NULL,
    schema_version integer     NOT NULL,
    version        bigint      NOT NULL,
    position       bigint      NOT NULL,
    event_id       uuid        NOT NULL,
    recorded_at    timestamptz NOT NULL,
    taken_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Taken over from the generation before, and not made anew yet.
    carried        boolean     NOT NULL DEFAULT false,
    checksum       bytea       NOT NULL,
    state          bytea       NOT NULL,
    PRIMARY KEY (decider, stream)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)`

const columns = `decider, stream, schema_version, version, position, event_id, recorded_at, checksum, state`

// putSQL leaves a later snapshot of the same kind alone, unless it was carried or $10 says not to.
const putSQL = `
INSERT INTO {table} AS kept (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (decider, stream) DO UPDATE
SET schema_version = excluded.schema_version, version = excluded.version, position = excluded.position,
    event_id = excluded.event_id, recorded_at = excluded.recorded_at, taken_at = excluded.taken_at,
    carried = false, checksum = excluded.checksum, state = excluded.state
WHERE $10 OR kept.carried OR kept.schema_version <> excluded.schema_version OR kept.version <= excluded.version`

// carrySQL begins a generation with the snapshots that there are: one of a truncated stream cannot
// be made anew.
const carrySQL = `
INSERT INTO {table} (` + columns + `, taken_at, carried)
SELECT ` + columns + `, taken_at, true FROM `

// create makes the table of a generation.
func (s *Store) create(ctx context.Context, tx pgx.Tx, table string) error {
	if _, err := tx.Exec(ctx, in(table, createSQL)); err != nil {
		return err
	}
	var before bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, s.view).Scan(&before); err != nil || !before {
		return err
	}
	_, err := tx.Exec(ctx, in(table, carrySQL)+s.view)
	return err
}

// in puts the name of a table or view into a statement.
func in(table, sql string) string { return strings.ReplaceAll(sql, "{table}", table) }

func put(batch *pgx.Batch, table string, s commands.Snapshot, force bool) {
	batch.Queue(in(table, putSQL), s.Decider, s.Stream, s.SchemaVersion, s.Version, s.Position, s.EventID, s.RecordedAt,
		s.Checksum, s.State, force)
}

const getSQL = `SELECT ` + columns + ` FROM {table} WHERE decider = $1 AND stream = $2`

// Snapshot implements commands.SnapshotStore. As long as no process has made the table, there are
// none.
func (s *Store) Snapshot(ctx context.Context, decider, stream string) (found commands.Snapshot, ok bool, err error) {
	if strings.ContainsRune(decider+stream, 0) {
		return found, false, nil // PostgreSQL cannot even be asked
	}
	err = s.pool.QueryRow(ctx, in(s.view, getSQL), decider, stream).Scan(&found.Decider, &found.Stream, &found.SchemaVersion,
		&found.Version, &found.Position, &found.EventID, &found.RecordedAt, &found.Checksum, &found.State)
	switch {
	case errors.Is(err, pgx.ErrNoRows), pgerr.Is(err, pgerr.NoTable):
		return found, false, nil
	case err != nil:
		return found, false, fmt.Errorf("read a snapshot: %w", err)
	}
	return found, true, nil
}

const purgeSQL = `DELETE FROM {table} WHERE ($1 = '' OR decider = $1) AND ($2 = '' OR stream = $2)`

// Purge removes snapshots: those of a decider, of a stream, or, where the argument is empty, of all.
// It returns how many there were. If there is no table the error is ErrNoTable.
func (s *Store) Purge(ctx context.Context, decider, stream string) (int64, error) {
	tag, err := s.pool.Exec(ctx, in(s.view, purgeSQL), decider, stream)
	return tag.RowsAffected(), s.describe("purge snapshots", err)
}

func (s *Store) describe(attempt string, err error) error {
	switch {
	case err == nil:
		return nil
	case pgerr.Is(err, pgerr.NoTable):
		return fmt.Errorf("%s: %w", attempt, ErrNoTable)
	}
	return fmt.Errorf("%s: %w", attempt, err)
}
