package projections

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/rowmap"
)

// create makes the table of a generation with its indexes.
func (p *foldProjector[K, Row]) create(ctx context.Context, tx pgx.Tx, table tableName) error {
	if err := p.createBare(ctx, tx, table); err != nil {
		return err
	}
	for _, ddl := range p.indexes(table) {
		if _, err := tx.Exec(ctx, ddl); err != nil {
			return fmt.Errorf("index table %s: %w", table, err)
		}
	}
	return nil
}

// createBare makes the table without indexes, its primary key included.
func (p *foldProjector[K, Row]) createBare(ctx context.Context, tx pgx.Tx, table tableName) error {
	var columns []string
	for _, c := range p.layout.Key {
		columns = append(columns, c.Definition())
	}
	// Before the row's own columns, so that a version with more of them can replace the view.
	columns = append(columns, positionColumn+" bigint NOT NULL")
	for _, c := range p.layout.Row {
		columns = append(columns, c.Definition())
	}
	// Rows are updated far more often than in an ordinary table: room in the page for it, and
	// vacuum before a fifth of it is dead.
	ddl := fmt.Sprintf("CREATE TABLE %s (%s) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)",
		table, strings.Join(columns, ", "))
	if _, err := tx.Exec(ctx, ddl); err != nil {
		return fmt.Errorf("create table %s: %w", table, err)
	}
	return nil
}

// foldSettings hold for the transaction that writes rows. A crash of the server may lose it, rows
// and checkpoint alike, and then it is made again from the log: so it does not wait for the disk,
// on which appends wait already.
const foldSettings = `SELECT set_config('lock_timeout', '2s', true), set_config('synchronous_commit', 'off', true)`

// statementTimeout bounds what takes milliseconds. Lock_timeout alone does not: a connection that
// sees a statement for the first time waits for its table before the settings are made, and one
// that the server cannot be reached by any more waits for the network to notice.
const statementTimeout = 5 * time.Second

// commit takes two round trips: one loads the rows, the other writes them and moves the checkpoint,
// pipelined, which makes one transaction of it. The rows can be loaded outside of it because they
// are only written if the checkpoint is still where it was.
func (p *foldProjector[K, Row]) commit(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded, move statement) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var batch pgx.Batch
	batch.Queue(foldSettings)
	changed, err := p.fold(ctx, pool, g.table, events, &batch)
	if err != nil {
		return err
	}
	return write(ctx, pool, &batch, move, g.recordChanges(changed)...)
}

// write does what is in a batch, moves the checkpoint and does what comes behind that, in one transaction.
func write(ctx context.Context, pool *pgxpool.Pool, batch *pgx.Batch, move statement, behind ...statement) error {
	if err := failpoint.Fail(failpoint.ProjectFolded); err != nil {
		return err
	}
	for _, s := range append([]statement{move}, behind...) {
		batch.Queue(s.sql, s.args...)
	}
	return pool.SendBatch(ctx, batch).Close()
}

func (p *foldProjector[K, Row]) probe(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded) error {
	var batch pgx.Batch
	if _, err := p.fold(ctx, pool, g.table, events, &batch); err != nil {
		return err
	}
	return tryOut(ctx, pool, &batch)
}

// tryOut does what is in a batch and takes it back.
func tryOut(ctx context.Context, pool *pgxpool.Pool, batch *pgx.Batch) error {
	tx, err := begin(ctx, pool)
	if err != nil {
		return err
	}
	defer rollback(ctx, tx)
	return tx.SendBatch(ctx, batch).Close()
}

// errTooManyBytes is returned for the rows of several appends that take too much memory together.
var errTooManyBytes = errors.New("the rows of the batch have too many bytes")

// fold loads the rows that events touch, applies the events and queues what writes the rows. It returns what changed, if
// that is kept.
func (p *foldProjector[K, Row]) fold(ctx context.Context, db querier, table tableName, events []Decoded, batch *pgx.Batch) ([]captured, error) {
	m := newMemory(p)
	todo := make([]changes[K, Row], len(events))
	for i, d := range events {
		cs, err := p.changes(d)
		if err != nil {
			return nil, &eventError{event: d.Event, err: err}
		}
		for _, c := range cs {
			m.want(c.key)
		}
		todo[i] = cs
	}
	most := eventstore.DefaultPageBytes
	if len(events) > 0 && events[0].Event.AppendEnd == events[len(events)-1].Event.AppendEnd {
		most = math.MaxInt // an append is never split
	}
	if err := p.load(ctx, db, table, most, m); err != nil {
		return nil, err
	}
	feed := p.newCapture()
	for i, d := range events {
		if err := feed.apply(m, todo[i], d.Event); err != nil {
			return nil, &eventError{event: d.Event, err: err}
		}
		if feed.bytes > most {
			return nil, errTooManyBytes
		}
	}
	return feed.list, p.queue(table, m, batch)
}

// load fetches the rows of all keys that m wants.
//
// If they have more than most bytes the error is errTooManyBytes.
//
// The subquery with OFFSET 0 keeps the planner from turning the join around: it is one lookup in
// the primary key for each wanted key, also on a table that grew faster than its statistics.
func (p *foldProjector[K, Row]) load(ctx context.Context, db querier, table tableName, most int, m *memory[K, Row]) error {
	if len(m.order) == 0 {
		return nil
	}
	arrays, casts, err := arrays(p.layout.Key, valuesOf(m.order), 1)
	if err != nil {
		return err
	}
	keys := p.layout.Key.Names()
	on := make([]string, len(keys))
	for i, key := range keys {
		on[i] = fmt.Sprintf("t.%[1]s = k.%[1]s", pgsql.Name(key))
	}
	sql := fmt.Sprintf(`SELECT r.* FROM unnest(%s) AS k (%s) CROSS JOIN LATERAL (SELECT %s FROM %s t WHERE %s OFFSET 0) r`,
		casts, list(keys), list(p.layout.names()), table, strings.Join(on, " AND "))
	rows, err := db.Query(ctx, sql, arrays...)
	if err != nil {
		return err
	}
	defer rows.Close()
	bytes := 0
	targets := make([]any, 0, len(p.layout.Key)+len(p.layout.Row))
	for rows.Next() {
		if bytes += pgsql.Size(rows); bytes > most {
			return errTooManyBytes
		}
		key, row := new(K), new(Row)
		keyValue, rowValue := reflect.ValueOf(key).Elem(), reflect.ValueOf(row).Elem()
		targets = p.layout.Row.Targets(p.layout.Key.Targets(targets[:0], keyValue), rowValue)
		if err := rows.Scan(targets...); err != nil {
			return fmt.Errorf("read a row of %s: %w", table, err)
		}
		if err := p.normalize(keyValue, rowValue); err != nil {
			return fmt.Errorf("read a row of %s: %w", table, err)
		}
		m.put(*key, row)
	}
	return rows.Err()
}

func (p *foldProjector[K, Row]) normalize(key, row reflect.Value) error {
	if err := p.layout.Key.Normalize(key); err != nil {
		return err
	}
	return p.layout.Row.Normalize(row)
}

// written are rows to write, with their keys and the positions of the last events that touched
// them.
type written struct {
	keys, rows []reflect.Value
	positions  []int64
}

// queue adds to batch what takes the table from the rows that were loaded to those in m. A row that
// was not there is inserted and nothing else, which is cheaper than to look for it again: if
// another process has made it since, the checkpoint has moved and nothing of this is to be written.
func (p *foldProjector[K, Row]) queue(table tableName, m *memory[K, Row], batch *pgx.Batch) error {
	var gone []reflect.Value
	var added, changed written
	for _, key := range m.order {
		e := m.entries[key]
		if e.position == 0 {
			continue
		}
		to := &added
		switch {
		case e.row == nil && e.stored:
			gone = append(gone, reflect.ValueOf(key))
			continue
		case e.row == nil:
			continue
		case e.stored:
			to = &changed
		}
		to.keys = append(to.keys, reflect.ValueOf(key))
		to.rows = append(to.rows, reflect.ValueOf(e.row).Elem())
		to.positions = append(to.positions, e.position)
	}
	if len(gone) > 0 {
		args, casts, err := arrays(p.layout.Key, gone, 1)
		if err != nil {
			return err
		}
		batch.Queue(fmt.Sprintf(`DELETE FROM %s WHERE (%s) IN (SELECT * FROM unnest(%s))`,
			table, list(p.layout.Key.Names()), casts), args...)
	}
	if err := p.insert(table, added, "", batch); err != nil {
		return err
	}
	set := make([]string, 0, len(p.layout.Row)+1)
	for _, name := range append(p.layout.Row.Names(), positionColumn) {
		set = append(set, fmt.Sprintf("%[1]s = excluded.%[1]s", pgsql.Name(name)))
	}
	return p.insert(table, changed,
		fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", list(p.layout.Key.Names()), strings.Join(set, ", ")), batch)
}

func (p *foldProjector[K, Row]) insert(table tableName, w written, conflict string, batch *pgx.Batch) error {
	if len(w.rows) == 0 {
		return nil
	}
	args, casts, err := arrays(p.layout.Key, w.keys, 1)
	if err != nil {
		return err
	}
	rowArgs, rowCasts, err := arrays(p.layout.Row, w.rows, len(args)+1)
	if err != nil {
		return err
	}
	args = append(append(args, rowArgs...), w.positions)
	batch.Queue(fmt.Sprintf(`INSERT INTO %s (%s) SELECT * FROM unnest(%s, %s, $%d::bigint[])%s`,
		table, list(append(p.layout.names(), positionColumn)), casts, rowCasts, len(args), conflict), args...)
	return nil
}

// arrays returns one array parameter for each column, and the list of them as unnest takes it,
// numbered from first.
func arrays(columns rowmap.Columns, values []reflect.Value, first int) (args []any, casts string, err error) {
	var list []string
	for i, c := range columns {
		arg, err := c.Array(values)
		if err != nil {
			return nil, "", err
		}
		args = append(args, arg)
		list = append(list, fmt.Sprintf("$%d::%s[]", first+i, c.Type))
	}
	return args, strings.Join(list, ", "), nil
}

func valuesOf[T any](all []T) []reflect.Value {
	values := make([]reflect.Value, len(all))
	for i, v := range all {
		values[i] = reflect.ValueOf(v)
	}
	return values
}

// list returns column names quoted and separated by commas.
func list(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = pgsql.Name(name)
	}
	return strings.Join(quoted, ", ")
}

// memory is rows of a fold while events are applied to them. It needs no database, only the rows
// that were there before.
type memory[K comparable, Row any] struct {
	projector *foldProjector[K, Row]
	entries   map[K]*entry[Row]
	// order has the keys in the order in which they were first asked for.
	order []K
}

// entry is one row, or the place of one.
type entry[Row any] struct {
	// row is nil while there is none.
	row *Row
	// stored says that the table has one.
	stored bool
	// position is that of the last event that touched the row, 0 if none did.
	position int64
	// touched is how often it was, and size about how many bytes it takes; only a shard counts.
	touched uint64
	size    int64
}

func newMemory[K comparable, Row any](p *foldProjector[K, Row]) *memory[K, Row] {
	return &memory[K, Row]{projector: p, entries: make(map[K]*entry[Row])}
}

// want makes room for the row of a key, and returns it.
func (m *memory[K, Row]) want(key K) *entry[Row] {
	e := m.entries[key]
	if e == nil {
		e = &entry[Row]{}
		m.entries[key] = e
		m.order = append(m.order, key)
	}
	return e
}

// put says that the table has a row.
func (m *memory[K, Row]) put(key K, row *Row) {
	if e := m.entries[key]; e != nil {
		e.row, e.stored = row, true
	}
}

// apply does the changes of one event, whose keys were asked for.
func (m *memory[K, Row]) apply(cs changes[K, Row], position int64) error {
	for i := range cs {
		if err := m.change(m.entries[cs[i].key], &cs[i], position); err != nil {
			return err
		}
	}
	return nil
}

// change does one change of an event to the row of its key.
func (m *memory[K, Row]) change(e *entry[Row], c *change[K, Row], position int64) (err error) {
	defer recoverTo(&err)
	switch {
	case c.kind == deleteRow:
		e.row, e.position = nil, position
		return nil
	case e.row == nil && c.kind == updateRow:
		return fmt.Errorf("key %v: %w", c.key, ErrNoRow)
	case e.row == nil:
		e.row = new(Row)
	}
	if err := c.mutate(e.row); err != nil {
		return fmt.Errorf("key %v: %w", c.key, err)
	}
	e.position = position
	// The next event must see the row as it would come from the table, whether or not it
	// is in the same batch.
	if err := m.projector.layout.Row.Normalize(reflect.ValueOf(e.row).Elem()); err != nil {
		return fmt.Errorf("key %v: %w", c.key, err)
	}
	return nil
}

// recoverTo turns a panic of a user's function into an error: it stops the projection, not the
// program and all the other projections in it.
func recoverTo(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	}
}
