package projections

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

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
