package projections

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// InMemory keeps the rows of folds in memory, where a Runner keeps them in tables: for tests, and
// for logs that have no database. A fold that fails stays where it is, as with a Runner. It is safe
// for concurrent use.
type InMemory struct {
	log   eventstore.Reader
	codec *eventstore.Codec
	folds map[string]foldInMemory

	mu       sync.Mutex
	at       eventstore.Token
	failures map[string]error
}

// foldInMemory is the rows of one fold.
type foldInMemory interface {
	// handle applies an event, if it is of a type that the fold handles.
	handle(*eventstore.Codec, Recorded) error
}

// NewInMemory returns the rows that the folds among projections make of a log, none yet. Other
// kinds need PostgreSQL and are left out. The error is an *InvalidError, as NewRunner returns it.
func NewInMemory(log eventstore.Reader, codec *eventstore.Codec, projections ...Projection) (*InMemory, error) {
	prepared, err := prepareAll(codec, projections)
	if err != nil {
		return nil, err
	}
	m := &InMemory{log: log, codec: codec, folds: make(map[string]foldInMemory), failures: make(map[string]error)}
	for i, p := range projections {
		if f, ok := prepared[i].(interface{ inMemory() foldInMemory }); ok {
			m.folds[p.Name()] = f.inMemory()
		}
	}
	return m, nil
}

func (p *foldProjector[K, Row]) inMemory() foldInMemory { return newMemory(p) }

// handle implements foldInMemory.
func (m *memory[K, Row]) handle(codec *eventstore.Codec, e Recorded) error {
	if m.projector.handlers[e.Type] == nil {
		return nil
	}
	cs, err := m.projector.decode(codec, e)
	if err != nil {
		return err
	}
	for _, c := range cs {
		m.want(c.key)
	}
	if err := m.apply(cs, e.Position); err != nil {
		return &eventError{event: e, err: err}
	}
	return nil
}

// Follow applies the events that the log has got since it was last asked, and returns where that
// is. The error is one of reading the log; for those of folds see Failures.
func (m *InMemory) Follow(ctx context.Context) (eventstore.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.follow(ctx)
	return m.at, err
}

func (m *InMemory) follow(ctx context.Context) error {
	head, err := m.log.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	for e, err := range m.log.ReadAll(ctx, eventstore.ReadOptions{After: m.at}) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		for name, f := range m.folds {
			if m.failures[name] != nil {
				continue
			}
			if err := f.handle(m.codec, &e); err != nil {
				m.failures[name] = fmt.Errorf("projection %s: %w", name, err)
			}
		}
		m.at = head
		m.at.Position = e.Position
	}
	return nil
}

// Failures returns why folds have stopped, by their names.
func (m *InMemory) Failures() map[string]error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.failures)
}

// RowInMemory returns the row with a key as of the last event in the log, and where that is.
// ErrNotFound: the fold is not among those of m. Any other error is why it has stopped, or one of
// reading the log.
func RowInMemory[K comparable, Row any](ctx context.Context, m *InMemory, f *Fold[K, Row], key K) (row Row, found bool, at eventstore.Token, err error) {
	at, err = readInMemory(ctx, m, f, func(rows *memory[K, Row]) error {
		layout := rows.projector.layout
		if layout.Key.Normalize(reflect.ValueOf(&key).Elem()) != nil {
			return nil // no row can have it
		}
		if e := rows.entries[key]; e != nil && e.row != nil {
			row, found = *e.row, true
			return layout.Row.Unshare(reflect.ValueOf(&row).Elem())
		}
		return nil
	})
	return row, found, at, err
}

// RowsInMemory is RowInMemory for all rows.
func RowsInMemory[K comparable, Row any](ctx context.Context, m *InMemory, f *Fold[K, Row]) (rows map[K]Row, at eventstore.Token, err error) {
	rows = make(map[K]Row)
	at, err = readInMemory(ctx, m, f, func(kept *memory[K, Row]) error {
		for key, e := range kept.entries {
			if e.row == nil {
				continue
			}
			row := *e.row
			if err := kept.projector.layout.Row.Unshare(reflect.ValueOf(&row).Elem()); err != nil {
				return err
			}
			rows[key] = row
		}
		return nil
	})
	return rows, at, err
}

func readInMemory[K comparable, Row any](ctx context.Context, m *InMemory, f *Fold[K, Row], read func(*memory[K, Row]) error) (eventstore.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, ok := m.folds[f.Name()].(*memory[K, Row])
	if !ok {
		return m.at, fmt.Errorf("%s in memory: %w", f.Name(), ErrNotFound)
	}
	if err := m.follow(ctx); err != nil {
		return m.at, err
	}
	if err := m.failures[f.Name()]; err != nil {
		return m.at, err
	}
	return m.at, read(rows)
}
