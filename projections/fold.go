package projections

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// Fold is a projection that is said by pure functions from a row and an event to the row. Make one
// with NewFold, then say by Upsert, Update, UpsertEach, Delete and DeleteEach what events do.
// Several functions for the same event run in the order in which they were registered. E is the type of an event, or an interface
// that several of the codec implement, such as that of the events of an aggregate: one more of them then changes the fold, which needs
// another Version.
type Fold[K comparable, Row any] struct {
	table    Table
	layout   func() (Layout, error)
	handlers []handler[K, Row]
}

// handler is what one registered function does with events of one type.
type handler[K comparable, Row any] struct {
	event reflect.Type
	// does adds what an event does, in order.
	does func(Decoded, *changes[K, Row])
	// missing says that one of its functions is nil.
	missing bool
}

// change is what one event does to one row.
type change[K comparable, Row any] struct {
	key    K
	kind   changeKind
	mutate func(*Row) error
}

type changeKind uint8

const (
	upsertRow changeKind = iota
	updateRow
	deleteRow
)

// changes are those of one event.
type changes[K comparable, Row any] []change[K, Row]

func (cs *changes[K, Row]) add(kind changeKind, key K, mutate func(*Row) error) {
	*cs = append(*cs, change[K, Row]{key: key, kind: kind, mutate: mutate})
}

// NewFold returns a fold that does nothing yet. Mistakes in it are reported by NewRunner.
//
// Row is a struct; its fields are the columns, named by their `db` tag or in snake case:
//
//	string                          text COLLATE "C"
//	int…, uint8, uint16, uint32     bigint
//	float32, float64                double precision
//	bool                            boolean
//	time.Time                       timestamptz, in UTC and to the microsecond
//	uuid.UUID or another [16]byte   uuid
//	[]byte                          bytea, nil is NULL
//	struct, slice, map, array       jsonb
//	*T                              as T, nil is NULL
//
// K is one of string, int…, uint…, bool, time.Time and UUID, for a key of one column, or a struct
// of them.
func NewFold[K comparable, Row any](t Table) *Fold[K, Row] {
	return &Fold[K, Row]{
		table: t,
		layout: sync.OnceValues(func() (Layout, error) {
			return t.layout(reflect.TypeFor[K](), reflect.TypeFor[Row]())
		}),
	}
}

// Name returns the name of the table.
func (f *Fold[K, Row]) Name() string { return f.table.Name }

// Version returns the version of the table.
func (f *Fold[K, Row]) Version() int { return f.table.Version }

// Layout returns how the fold's rows are kept, or what is wrong with their types.
func (f *Fold[K, Row]) Layout() (Layout, error) { return f.layout() }

// checkKey returns an error if text is no key of a row.
func (f *Fold[K, Row]) checkKey(text string) error {
	layout, err := f.Layout()
	if err == nil {
		_, err = parseKey[K](layout, text)
	}
	return err
}

// ByID is the key for a row per stream: the stream's name after its category.
func ByID[E any](_ E, r Recorded) string { return eventstore.StreamID(r.Stream) }

// Upsert says that an event of type E changes the row with the given key, which is made, zero, if
// there is none. An error stops the projection at the event.
func Upsert[K comparable, Row, E any](f *Fold[K, Row], key func(E, Recorded) K, mutate func(*Row, E, Recorded) error) {
	f.handle(reflect.TypeFor[E](), key == nil || mutate == nil, one(upsertRow, key, mutate))
}

// Update is Upsert for a row that must be there: if there is none the projection stops with
// ErrNoRow.
func Update[K comparable, Row, E any](f *Fold[K, Row], key func(E, Recorded) K, mutate func(*Row, E, Recorded) error) {
	f.handle(reflect.TypeFor[E](), key == nil || mutate == nil, one(updateRow, key, mutate))
}

// Delete says that an event of type E removes the row with the given key, if there is one.
func Delete[K comparable, Row, E any](f *Fold[K, Row], key func(E, Recorded) K) {
	f.handle(reflect.TypeFor[E](), key == nil, one[K, Row](deleteRow, key, nil))
}

// UpsertEach says that an event of type E changes any number of rows: for each pair the row with
// that key, which is made, zero, if there is none. A key may occur more than once.
func UpsertEach[K comparable, Row, E, Part any](f *Fold[K, Row], parts func(E, Recorded) iter.Seq2[K, Part], mutate func(*Row, Part, Recorded) error) {
	f.handle(reflect.TypeFor[E](), parts == nil || mutate == nil, func(d Decoded, cs *changes[K, Row]) {
		for key, part := range parts(d.Value.(E), d.Event) {
			cs.add(upsertRow, key, func(row *Row) error { return mutate(row, part, d.Event) })
		}
	})
}

// DeleteEach says that an event of type E removes the rows with the given keys, those that exist.
func DeleteEach[K comparable, Row, E any](f *Fold[K, Row], keys func(E, Recorded) iter.Seq[K]) {
	f.handle(reflect.TypeFor[E](), keys == nil, func(d Decoded, cs *changes[K, Row]) {
		for key := range keys(d.Value.(E), d.Event) {
			cs.add(deleteRow, key, nil)
		}
	})
}

// one returns what an event does that changes one row.
func one[K comparable, Row, E any](kind changeKind, key func(E, Recorded) K, mutate func(*Row, E, Recorded) error) func(Decoded, *changes[K, Row]) {
	return func(d Decoded, cs *changes[K, Row]) {
		e := d.Value.(E)
		cs.add(kind, key(e, d.Event), func(row *Row) error { return mutate(row, e, d.Event) })
	}
}

func (f *Fold[K, Row]) handle(event reflect.Type, missing bool, does func(Decoded, *changes[K, Row])) {
	f.handlers = append(f.handlers, handler[K, Row]{event: event, missing: missing, does: does})
}

// prepare implements Projection.
func (f *Fold[K, Row]) prepare(codec *eventstore.Codec) (projector, []error) {
	layout, layoutErr := f.Layout()
	errs := []error{checkName(f.table.Name, f.table.Version), layoutErr, f.table.checkChanges()}
	if len(f.handlers) == 0 {
		errs = append(errs, errors.New("it handles no events: say what they do with Upsert, Update or Delete"))
	}
	p := &foldProjector[K, Row]{
		layout:   layout,
		keeps:    f.table.keeps(),
		handlers: make(map[string][]handler[K, Row]),

		handledTypes: make(handledTypes),
	}
	for _, h := range f.handlers {
		names := codec.TypeNamesOf(h.event)
		switch {
		case h.missing:
			errs = append(errs, fmt.Errorf("a function for %s is nil", h.event))
		case len(names) == 0:
			errs = append(errs, eventstore.NotAdded(h.event))
		}
		for _, name := range names {
			p.add(codec, name)
			for _, name := range codec.Names(name) {
				p.handlers[name] = append(p.handlers[name], h)
			}
		}
	}
	return p, errs
}

// foldProjector runs a fold. It is separate from Fold so that registering more afterwards does not
// change what runs.
type foldProjector[K comparable, Row any] struct {
	layout   Layout
	keeps    keptChanges
	handlers map[string][]handler[K, Row] // by all names of the event type
	handledTypes
}

func (p *foldProjector[K, Row]) definition(events []string) string {
	return fmt.Sprintf("%sevents %q\n", p.layout.definition(), events)
}

// changes returns what an event does, in order, with keys as they come back from the table.
func (p *foldProjector[K, Row]) changes(d Decoded) (cs changes[K, Row], err error) {
	defer recoverTo(&err)
	for _, h := range p.handlers[d.Event.Type] {
		h.does(d, &cs)
	}
	for i := range cs {
		if err := p.layout.Key.Normalize(reflect.ValueOf(&cs[i].key).Elem()); err != nil {
			return nil, err
		}
	}
	return cs, nil
}
