package projections

import (
	"context"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// bulk is what a fold can do beside what every projector can: build many rows at once.
type bulk interface {
	projector
	// createBare is create without indexes, whose statements indexes returns.
	createBare(ctx context.Context, tx pgx.Tx, table tableName) error
	indexes(table tableName) []string
	// alignIndexes makes those that a table lacks, and drops those that it has too many.
	alignIndexes(ctx context.Context, db querier, table tableName) (done bool, err error)
	// rowDefinition is definition without the indexes, definitionWith the one with those of a table.
	rowDefinition(events []string) string
	definitionWith(there []tableIndex) func(events []string) string
	// copyPass makes one pass over the log and copies the buckets that fitted.
	copyPass(ctx context.Context, s pass, to copyTarget) (done int, err error)
	// verifyPass makes one pass and compares the rows of the buckets that fitted with a table.
	verifyPass(ctx context.Context, s pass, v *verifying) (done []int, t eventstore.Tally, err error)
	// repair makes the row of one key anew.
	repair(ctx context.Context, r *repairing) (Repaired, error)
	// keepsChanges says what it keeps of changes of rows.
	keepsChanges() keptChanges
}

// copyTarget is where buckets are copied to.
type copyTarget struct {
	claim *claim
	table tableName
	// todo are the buckets of the pass.
	todo []int
	// copied is told of each group of buckets that is in the table.
	copied func(buckets int)
}

// copyGroup is how many rows are copied in one transaction, about.
const copyGroup = 20_000

const recordBucketsSQL = `
INSERT INTO {schema}.projection_buckets (operation, bucket, rows, events, digest)
SELECT $1, bucket, rows, $4, $5 FROM unnest($2::int[], $3::bigint[]) AS b (bucket, rows)`

func (p *foldProjector[K, Row]) copyPass(ctx context.Context, s pass, to copyTarget) (done int, err error) {
	shards, total, err := p.foldLog(ctx, s)
	if err != nil {
		return 0, err
	}
	failpoint.Hit(failpoint.RebuildFolded)
	group, ctx := errgroup.WithContext(ctx)
	for i, shard := range shards {
		var held []int
		for _, bucket := range to.todo {
			if bucket%s.workers == i && shard.held(bucket) {
				held = append(held, bucket)
			}
		}
		done += len(held)
		group.Go(func() error {
			for len(held) > 0 {
				n := shard.group(held)
				err := p.copyBuckets(ctx, shard, held[:n], total, to)
				if isDataError(err) {
					err = p.findPoisonRow(ctx, s, shard.rowsOf(held[:n]), to, err)
				}
				if err != nil {
					return fmt.Errorf("copy rows to %s: %w", to.table, err)
				}
				failpoint.HitIn(ctx, failpoint.RebuildRecorded)
				to.copied(n)
				held = held[n:]
			}
			return nil
		})
	}
	return done, group.Wait()
}

// group returns how many of the buckets to copy in one transaction.
func (s *shard[K, Row]) group(buckets []int) int {
	rows := 0
	for i, number := range buckets {
		if b := s.buckets[number]; b != nil {
			rows += len(b.rows.order)
		}
		if rows >= copyGroup {
			return i + 1
		}
	}
	return len(buckets)
}

// rowsOf returns the rows of some buckets as one memory.
func (s *shard[K, Row]) rowsOf(buckets []int) *memory[K, Row] {
	all := newMemory(s.projector)
	for _, number := range buckets {
		if b := s.buckets[number]; b != nil {
			for _, key := range b.rows.order {
				all.take(key, b.rows.entries[key])
			}
		}
	}
	return all
}

// copyBuckets copies the rows of some buckets and records that they are there, in one transaction:
// whoever goes on after a crash finds both or neither.
func (p *foldProjector[K, Row]) copyBuckets(ctx context.Context, s *shard[K, Row], buckets []int, total eventstore.Tally, to copyTarget) error {
	catalog := to.claim.catalog
	return to.claim.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, foldSettings); err != nil {
			return err
		}
		counts := make([]int64, len(buckets))
		source := &rowSource[K, Row]{projector: p}
		for i, number := range buckets {
			b := s.buckets[number]
			if b == nil {
				continue
			}
			for _, key := range b.rows.order {
				if b.rows.entries[key].row != nil {
					counts[i]++
				}
			}
			source.add(b.rows)
		}
		if err := p.copyRows(ctx, tx, source, to.table); err != nil {
			return err
		}
		failpoint.Hit(failpoint.RebuildCopied)
		_, err := tx.Exec(ctx, catalog.sql(recordBucketsSQL), to.claim.Operation.ID, buckets, counts, total.Events, total.Digest.Bytes())
		return err
	})
}

// rowSource gives the rows of several memories to COPY.
type rowSource[K comparable, Row any] struct {
	projector *foldProjector[K, Row]
	memories  []*memory[K, Row]
	next      int
	values    []any
	err       error
}

func (r *rowSource[K, Row]) add(m *memory[K, Row]) { r.memories = append(r.memories, m) }

// Next implements pgx.CopyFromSource.
func (r *rowSource[K, Row]) Next() bool {
	for len(r.memories) > 0 && r.err == nil {
		m := r.memories[0]
		if r.next == len(m.order) {
			r.memories, r.next = r.memories[1:], 0
			continue
		}
		key := m.order[r.next]
		r.next++
		if e := m.entries[key]; e.row != nil {
			r.values, r.err = r.projector.values(key, e)
			return r.err == nil
		}
	}
	return false
}

// Values implements pgx.CopyFromSource.
func (r *rowSource[K, Row]) Values() ([]any, error) { return r.values, nil }

// Err implements pgx.CopyFromSource.
func (r *rowSource[K, Row]) Err() error { return r.err }

// values returns the columns of a row: those of the key, the position, those of the row.
func (p *foldProjector[K, Row]) values(key K, e *entry[Row]) ([]any, error) {
	values, err := p.layout.Key.Args(reflect.ValueOf(key))
	if err != nil {
		return nil, err
	}
	rest, err := p.layout.Row.Args(reflect.ValueOf(e.row).Elem())
	return append(append(values, e.position), rest...), err
}

// findPoisonRow returns why the rows in m cannot be copied, with the event: that after which
// PostgreSQL refuses its row for the first time, as when events are applied one by one. Nothing is
// kept of the tries.
func (p *foldProjector[K, Row]) findPoisonRow(ctx context.Context, s pass, m *memory[K, Row], to copyTarget, cause error) error {
	key, cause, err := p.refusedKey(ctx, m, to, cause)
	if err != nil {
		return err
	}
	row := newMemory(p)
	row.want(key)
	var blamed *eventError
	var tryErr error
	err = p.foldKeys(ctx, s, row, func(_ K, e Recorded) {
		if blamed != nil || tryErr != nil {
			return
		}
		if tryErr = p.tryCopy(ctx, row, to); isDataError(tryErr) {
			blamed, tryErr = &eventError{event: e, err: fmt.Errorf("key %v: %w", key, tryErr)}, nil
		}
	})
	switch {
	case err != nil:
		return err
	case tryErr != nil:
		return tryErr
	case blamed == nil:
		return fmt.Errorf("key %v: %w", key, cause)
	}
	return blamed
}

// refusedKey finds a key of m whose row is refused: the first rows up to it are, those before it
// are not. Cause is why all of them are.
func (p *foldProjector[K, Row]) refusedKey(ctx context.Context, m *memory[K, Row], to copyTarget, cause error) (key K, _ error, err error) {
	first := func(n int) *memory[K, Row] {
		return &memory[K, Row]{projector: p, entries: m.entries, order: m.order[:n]}
	}
	passes, fails := 0, len(m.order)
	for fails-passes > 1 {
		middle := (passes + fails) / 2
		switch err := p.tryCopy(ctx, first(middle), to); {
		case err == nil:
			passes = middle
		case isDataError(err):
			fails, cause = middle, err
		default:
			return key, nil, err
		}
	}
	return m.order[fails-1], cause, nil
}

// tryCopy copies the rows in m and takes that back.
func (p *foldProjector[K, Row]) tryCopy(ctx context.Context, m *memory[K, Row], to copyTarget) error {
	tx, err := begin(ctx, to.claim.catalog.pool)
	if err != nil {
		return err
	}
	defer rollback(ctx, tx)
	return p.copyRows(ctx, tx, &rowSource[K, Row]{projector: p, memories: []*memory[K, Row]{m}}, to.table)
}

// copyRows copies the rows of a source to a table.
func (p *foldProjector[K, Row]) copyRows(ctx context.Context, tx pgx.Tx, source *rowSource[K, Row], table tableName) error {
	columns := append(append(p.layout.Key.Names(), positionColumn), p.layout.Row.Names()...)
	_, err := tx.CopyFrom(ctx, pgx.Identifier{table.schema, table.name}, columns, source)
	return err
}
