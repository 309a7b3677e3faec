package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsql"
)

// Lookup reads rows of projections as JSON, for who does not know their types. Of each it reads the generation that the view shows. It is
// safe for concurrent use.
type Lookup struct {
	pool   *pgxpool.Pool
	schema string
	// slots has a place for each connection that rows are read with at once.
	slots chan struct{}

	mu sync.Mutex
	// tables are those that the views showed last.
	tables map[string]lookupTable
}

// lookupSlots is how many rows are read at once: who waits for a row has a pool in which others keep the process alive, and a table may be locked.
const lookupSlots = 2

// NewLookup returns access to the rows of projections in a schema ("" is recount).
func NewLookup(pool *pgxpool.Pool, schema string) *Lookup {
	if schema == "" {
		schema = pgsql.DefaultSchema
	}
	return &Lookup{pool: pool, schema: schema, slots: make(chan struct{}, lookupSlots), tables: make(map[string]lookupTable)}
}

// lookupTable is a generation, with what reads a row of it.
type lookupTable struct {
	Serving
	key []string
	sql string
}

// ErrBehind is returned by Row for a projection that has not come to where it is waited for.
var ErrBehind = eventstore.NewError(eventstore.ClassUnavailable, "projection is behind")

const (
	projectionNamesSQL = `SELECT name FROM {schema}.projections ORDER BY name`

	// Without its modifier (-1: NULL would name char(n) as that of one byte) a type takes what the column cannot hold, which then equals none of it.
	keyColumnsSQL = `
SELECT a.attname, format_type(a.atttypid, -1)
FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, n), pg_attribute a
WHERE i.indrelid = $1::text::regclass AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.n`

	shownColumnsSQL = `
SELECT attname FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND NOT starts_with(attname::text, 'recount_') ORDER BY attnum`
)

// Projections returns the names of all projections in the schema.
func (l *Lookup) Projections(ctx context.Context) (names []string, err error) {
	rows, err := l.pool.Query(ctx, pgsql.In(l.schema, projectionNamesSQL))
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("list projections: %w", err)
	}
	return names, nil
}

// Key returns the columns of a projection's key, in order; none: its rows have none that they can be read by.
//
// Errors: ErrNotFound.
func (l *Lookup) Key(ctx context.Context, projection string) ([]string, error) {
	t, err := l.find(ctx, projection)
	if err != nil {
		return nil, fmt.Errorf("find projection %q: %w", projection, err)
	}
	return t.key, nil
}

// find finds out what a view shows.
func (l *Lookup) find(ctx context.Context, projection string) (t lookupTable, err error) {
	var b pgx.Batch
	QueueServing(&b, l.schema, projection, 0, &t.Serving)
	if err := l.pool.SendBatch(ctx, &b).Close(); err != nil {
		return t, err
	}
	var conditions []string
	rows, err := l.pool.Query(ctx, keyColumnsSQL, t.Table)
	if err != nil {
		return t, err
	}
	var name, kind string
	if _, err := pgx.ForEachRow(rows, []any{&name, &kind}, func() error {
		t.key = append(t.key, name)
		conditions = append(conditions, fmt.Sprintf("%s = $%d::text::%s", pgsql.Name(name), len(t.key), kind))
		return nil
	}); err != nil {
		return t, err
	}
	if rows, err = l.pool.Query(ctx, shownColumnsSQL, t.Table); err != nil {
		return t, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return t, err
	}
	t.sql = fmt.Sprintf(`SELECT row_to_json(r)::text FROM (SELECT %s FROM %s WHERE %s) AS r`, list(columns), t.Table, strings.Join(conditions, " AND "))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tables[projection] = t
	return t, nil
}

// Row returns the row with a key as a JSON object of its columns, with those of the key; nil: there is none, also because no row can have that key.
// The values of the key are given as text, in the order of its columns. Times are in UTC.
//
// If want is not zero the row is as it was at that place or later: it waits so long for the projection to come there. It waits too for one that is
// being built.
//
// Errors: ErrNotFound for the projection; ErrBehind; ErrInvalid for another number of values than the key has.
func (l *Lookup) Row(ctx context.Context, projection string, key []string, want eventstore.Token, wait time.Duration) (row []byte, err error) {
	until := time.Now().Add(wait)
	const shortest, longest = 5 * time.Millisecond, 100 * time.Millisecond
	for pause := shortest; ; pause = min(2*pause, longest) {
		row, err = l.row(ctx, projection, key, want)
		var behind *behindError
		left := time.Until(until)
		if !errors.As(err, &behind) || behind.stopped || left <= 0 || !background.Sleep(ctx, min(pause, left)) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look up a row of projection %q: %w", projection, err)
	}
	return row, nil
}

// row reads a row, and once more if the view shows another generation meanwhile.
func (l *Lookup) row(ctx context.Context, projection string, key []string, want eventstore.Token) (row []byte, err error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	t, known := l.tables[projection]
	l.mu.Unlock()
	for try := 1; ; try++ {
		if !known {
			if t, err = l.find(ctx, projection); err != nil {
				return nil, err
			}
		}
		if len(key) != len(t.key) && known { // the view may show another generation since
			known = false
			continue
		}
		if len(key) != len(t.key) {
			return nil, fmt.Errorf("%w: its key is (%s), and there are %d values", errKeySize, strings.Join(t.key, ", "), len(key))
		}
		var now Serving
		var b pgx.Batch
		QueueServing(&b, l.schema, projection, 0, &now)
		args := make([]any, len(key))
		for i, v := range key {
			args[i] = v
		}
		row = nil
		b.Queue(t.sql, args...).QueryRow(func(r pgx.Row) error {
			var text string
			err := r.Scan(&text)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			row = []byte(text)
			return err
		})
		err := l.pool.SendBatch(ctx, &b).Close()
		isOther := now.Table != t.Table || pgerr.Is(err, pgerr.NoTable, pgerr.NoColumn)
		switch {
		case isOther && try < 3 && !errors.Is(err, ErrNotFound) && (err == nil || pgerr.Code(err) != ""):
			known = false
			continue
		case pgerr.IsContent(err): // text that is none of the key's type
			row = nil
		case err != nil:
			return nil, err
		}
		return row, now.reaches(want)
	}
}

// errKeySize is matched by the error about values that are not as many as the key has.
var errKeySize = eventstore.NewError(eventstore.ClassInvalid, "not a key of the projection")

// behindError says that a projection is behind. It matches ErrBehind.
type behindError struct {
	reason string
	// stopped: it is not coming.
	stopped bool
}

func (e *behindError) Error() string { return e.reason }
func (e *behindError) Unwrap() error { return ErrBehind }

// reaches returns a *behindError if the rows are not all there, or not as they were at a place or later.
func (s *Serving) reaches(want eventstore.Token) error {
	at, position := s.Checkpoint, max(want.Position, s.Target) // what is still being built has not all of its rows
	if want.IsZero() {
		want.Log = at.Log
	}
	switch {
	case at.Log == want.Log && at.Incarnation >= want.Incarnation && at.Position >= position:
		return nil
	case s.Failure != "":
		return &behindError{fmt.Sprintf("it stopped at position %d, before %d: %s", at.Position, position, s.Failure), true}
	case s.Paused:
		return &behindError{fmt.Sprintf("it is paused at position %d, before %d", at.Position, position), true}
	}
	return &behindError{fmt.Sprintf("it is at position %d, before %d", at.Position, position), false}
}
