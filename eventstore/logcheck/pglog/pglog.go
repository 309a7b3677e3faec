// Package pglog reads the evidence that package logcheck judges from PostgreSQL:
// straight from the tables, by its own queries, so that what the product believes
// of them plays no part.
package pglog

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/internal/pgsql"
)

// Querier is a connection or a pool.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const eventsSQL = `
SELECT e.position, e.version, e.position + e.append_rest, e.recorded_at, e.id,
       coalesce(s.name, 'no stream has id ' || e.stream_id), coalesce(t.name, 'no type has id ' || e.type_id),
       e.data, e.metadata
FROM {schema}.events e
LEFT JOIN {schema}.streams s ON s.id = e.stream_id
LEFT JOIN {schema}.event_types t ON t.id = e.type_id
ORDER BY e.position`

const restoresSQL = `
SELECT n, from_position
FROM {schema}.log_incarnations
WHERE n > 1
ORDER BY n`

// Read reads the whole log of a schema. Identify is that of logcheck.NewLog.
func Read(ctx context.Context, db Querier, schema string, identify func(*eventstore.RecordedEvent) uuid.UUID) (*logcheck.Log, error) {
	l := logcheck.NewLog(identify)
	var e eventstore.RecordedEvent
	err := each(ctx, db, in(schema, eventsSQL), func() error { l.Add(e); return nil },
		&e.Position, &e.Version, &e.AppendEnd, &e.RecordedAt, &e.ID, &e.Stream, &e.Type, &e.Data, &e.Metadata)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	var r logcheck.Restore
	err = each(ctx, db, in(schema, restoresSQL), func() error { l.Restores = append(l.Restores, r); return nil },
		&r.Incarnation, &r.LastCommon)
	if err != nil {
		return nil, fmt.Errorf("read the incarnations of the log: %w", err)
	}
	return l, nil
}

const checkpointsSQL = `
SELECT projection, version, position, events, digest
FROM {schema}.projection_generations
WHERE serving
ORDER BY projection, version`

// Projection names a projection and the version of its rows.
type Projection struct {
	Name    string
	Version int
}

// Checkpoints reads the checkpoints of the generations that are served, of those
// projections that counted has, with the events that each counts.
func Checkpoints(ctx context.Context, db Querier, schema string, counted map[Projection]eventstore.Filter) (list []logcheck.Checkpoint, err error) {
	var p Projection
	var c logcheck.Checkpoint
	err = each(ctx, db, in(schema, checkpointsSQL), func() error {
		filter, ok := counted[p]
		if !ok {
			return nil
		}
		c.Projection, c.Counts = p.Name, filter
		list = append(list, c)
		return nil
	}, &p.Name, &p.Version, &c.Position, &c.Events, &c.Digest)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints: %w", err)
	}
	return list, nil
}

const connectionsSQL = `
SELECT coalesce(nullif(application_name, ''), 'unnamed') || ', ' || coalesce(state, 'no state'), count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1`

// Connections counts the other connections to the database, by application and
// state, for logcheck.Leaks.
func Connections(ctx context.Context, db Querier) (map[string]int, error) {
	counts := make(map[string]int)
	var name string
	var n int
	err := each(ctx, db, connectionsSQL, func() error { counts["connections of "+name] = n; return nil }, &name, &n)
	if err != nil {
		return nil, fmt.Errorf("count connections: %w", err)
	}
	return counts, nil
}

// T is what CheckAtEnd needs of a *testing.T.
type T interface {
	logcheck.T
	Cleanup(f func())
}

// CheckAtEnd checks the log when the test ends, in front of the cleanups that
// are there already: call it once the database is there.
func CheckAtEnd(t T, db Querier, schema string) {
	t.Helper()
	t.Cleanup(func() {
		l, err := Read(context.Background(), db, schema, nil)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		logcheck.Test(t, logcheck.CheckLog(l))
	})
}

func in(schema, sql string) string {
	return pgsql.In(schema, sql)
}

// each scans the rows of a query into the same places, one after the other.
func each(ctx context.Context, db Querier, sql string, do func() error, places ...any) error {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, places, do)
	return err
}
