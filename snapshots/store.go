package snapshots

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/projections"
)

// legacyName is the name of the one projection that made the snapshots of all deciders before each
// had one of its own, and of its view. Programs of then go on with it.
const legacyName = "snapshots"

var plainDecider = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// NameOf returns the name of the projection that makes the snapshots of a decider, and of the view
// that shows them. Its version is the schema version of the states: programs with other deciders,
// and with other versions of one, have snapshots of their own on one log.
func NameOf(decider string) string {
	if !plainDecider.MatchString(decider) || strings.Contains(decider, "_g") { // generations end so
		sum := sha256.Sum256([]byte(decider))
		decider = "x" + hex.EncodeToString(sum[:8])
	}
	return legacyName + "_" + decider
}

// ErrNoTable is returned where no process has run the projection yet.
var ErrNoTable = eventstore.NewError(eventstore.ClassNotFound, "there is no table of snapshots: no process has run the projection that makes them")

// Store is the snapshots of one log. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	schema string
	app    string
	// batchBytes bounds the states that are kept with a move of their projection: they are in memory until then. What
	// is behind them is kept one by one.
	batchBytes int

	mu sync.Mutex
	// names are those of the projections that Projections has returned.
	names []string
	// tables caches where to read; every read checks it.
	tables map[kind]string
}

// kind is a kind of state.
type kind struct {
	decider string
	version int
}

var _ commands.SnapshotStore = (*Store)(nil)

// NewStore returns access to the snapshots in a schema ("" is recount).
func NewStore(pool *pgxpool.Pool, schema string) *Store {
	if schema == "" {
		schema = pgsql.DefaultSchema
	}
	return &Store{pool: pool, schema: schema, batchBytes: 8 << 20, tables: make(map[kind]string)}
}

// ForApp makes s the snapshots of an App, and returns it: what the projections of other Apps on the
// log have made it does not read, list or change, see projections.Config.App. Two Apps with streams
// of one category need a commands.SnapshotConfig.Decider each; without, the second is refused.
func (s *Store) ForApp(name string) *Store {
	s.app = name
	return s
}

// owns reports whether an App is that of the store, or none.
func (s *Store) owns(app string) bool { return s.app == "" || app == "" || app == s.app }

func (s *Store) quoted(table string) string { return pgsql.Name(s.schema, table) }

// createSQL makes the table of a generation. A state is bytes, not jsonb, so that its checksum
// holds.
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

// putSQL leaves a later snapshot alone, unless it was carried or $10 says not to.
const putSQL = `
INSERT INTO {table} AS kept (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (decider, stream) DO UPDATE
SET schema_version = excluded.schema_version, version = excluded.version, position = excluded.position,
    event_id = excluded.event_id, recorded_at = excluded.recorded_at, taken_at = excluded.taken_at,
    carried = false, checksum = excluded.checksum, state = excluded.state
WHERE $10 OR kept.carried OR kept.version <= excluded.version`

// carrySQL begins a generation with the snapshots that there are: one of a truncated stream cannot
// be made anew.
const carrySQL = `
INSERT INTO {table} (` + columns + `, taken_at, carried)
SELECT ` + columns + `, taken_at, true FROM {before} WHERE decider = $1 AND schema_version = $2`

// create returns what makes the table of a generation.
func (s *Store) create(source commands.SnapshotSource) func(context.Context, pgx.Tx, string) error {
	return func(ctx context.Context, tx pgx.Tx, table string) error {
		if _, err := tx.Exec(ctx, in(table, createSQL)); err != nil {
			return err
		}
		for _, before := range []string{s.quoted(NameOf(source.Decider())), s.quoted(legacyName)} {
			var exists bool
			if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, before).Scan(&exists); err != nil {
				return err
			}
			if exists {
				sql := strings.ReplaceAll(in(table, carrySQL), "{before}", before)
				_, err := tx.Exec(ctx, sql, source.Decider(), source.SchemaVersion())
				return err
			}
		}
		return nil
	}
}

// in puts the name of a table or view into a statement.
func in(table, sql string) string { return strings.ReplaceAll(sql, "{table}", table) }

func put(batch *pgx.Batch, table string, s commands.Snapshot, force bool) {
	batch.Queue(in(table, putSQL), s.Decider, s.Stream, s.SchemaVersion, s.Version, s.Position, s.EventID, s.RecordedAt,
		s.Checksum, s.State, force)
}

const getSQL = `SELECT ` + columns + ` FROM {table} WHERE decider = $1 AND stream = $2`

// Snapshot implements commands.SnapshotStore. As long as no process has made the table, it is one
// of those that were made for all deciders, if there is one.
func (s *Store) Snapshot(ctx context.Context, decider string, schemaVersion int, stream string) (found commands.Snapshot, ok bool, err error) {
	if strings.ContainsRune(decider+stream, 0) {
		return found, false, nil // PostgreSQL cannot even be asked
	}
	k := kind{decider, schemaVersion}
	get := func(b *pgx.Batch, table string) {
		ok = false
		b.Queue(in(table, getSQL), decider, stream).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&found.Decider, &found.Stream, &found.SchemaVersion,
				&found.Version, &found.Position, &found.EventID, &found.RecordedAt, &found.Checksum, &found.State)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			ok = err == nil
			return err
		})
	}
	for range 3 { // more often than the table is replaced meanwhile
		table := s.cached(k)
		var serving projections.Serving
		err = pgsession.Retry(ctx, func() error {
			var b pgx.Batch
			projections.QueueServing(&b, s.schema, NameOf(decider), schemaVersion, &serving)
			if table != "" {
				get(&b, table)
			}
			return s.pool.SendBatch(ctx, &b).Close()
		})
		if !s.owns(serving.App) {
			return commands.Snapshot{}, false, nil
		}
		if serving.Generation == 0 && (errors.Is(err, projections.ErrNotFound) || pgerr.Is(err, pgerr.NoTable)) {
			var b pgx.Batch
			get(&b, s.quoted(legacyName))
			if err = s.pool.SendBatch(ctx, &b).Close(); pgerr.Is(err, pgerr.NoTable) {
				return found, false, nil
			}
			break
		}
		if serving.Table == table || err != nil && !pgerr.Is(err, pgerr.NoTable) {
			break
		}
		s.cache(k, serving.Table)
	}
	if err != nil {
		return commands.Snapshot{}, false, fmt.Errorf("read a snapshot: %w", err)
	}
	return found, ok, nil
}

func (s *Store) cached(k kind) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tables[k]
}

func (s *Store) cache(k kind, table string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables[k] = table
}

// tablesSQL finds the tables of all deciders by the names of their projections, and leaves out
// those of somebody else whose names are alike.
const tablesSQL = `
SELECT g.projection, g.table_name, g.generation = p.live_generation
FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name AND g.serving
JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', $1::text, g.table_name)) AND a.attname = 'checksum'
WHERE (p.name = 'snapshots' OR p.name LIKE 'snapshots\_%')
  AND ($2 = '' OR p.app = $2 OR p.app = '' AND p.name = ANY($3))
ORDER BY g.projection, g.generation`

// table is a table of snapshots that some program reads.
type table struct {
	projection, name string
	// live says that it is the one that the view shows.
	live bool
}

// allTables returns all there are of the App, or ErrNoTable.
func (s *Store) allTables(ctx context.Context) ([]table, error) {
	s.mu.Lock()
	names := append([]string{legacyName}, s.names...)
	s.mu.Unlock()
	rows, err := s.pool.Query(ctx, pgsql.In(s.schema, tablesSQL), s.schema, s.app, names)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		err = row.Scan(&t.projection, &t.name, &t.live)
		return t, err
	})
	if err == nil && len(all) == 0 {
		err = ErrNoTable
	}
	return all, err
}

const purgeSQL = `DELETE FROM {table} WHERE ($1 = '' OR decider = $1) AND ($2 = '' OR stream = $2) RETURNING decider, stream`

// Purge removes snapshots: those of a decider, of a stream, or, where the argument is empty, of
// all. It returns of how many streams and deciders there were some. If there is no table the error
// is ErrNoTable.
func (s *Store) Purge(ctx context.Context, decider, stream string) (int64, error) {
	tables, err := s.allTables(ctx)
	if err != nil {
		return 0, s.describe("purge snapshots", err)
	}
	removed := make(map[[2]string]bool)
	for _, t := range tables {
		rows, err := s.pool.Query(ctx, in(s.quoted(t.name), purgeSQL), decider, stream)
		if err != nil {
			return 0, s.describe("purge snapshots", err)
		}
		var of [2]string
		_, err = pgx.ForEachRow(rows, []any{&of[0], &of[1]}, func() error {
			removed[of] = true
			return nil
		})
		if err != nil {
			return int64(len(removed)), s.describe("purge snapshots", err)
		}
	}
	return int64(len(removed)), nil
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
