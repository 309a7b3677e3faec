package projections

import (
	"fmt"
	"reflect"
	"runtime/debug"
)

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
