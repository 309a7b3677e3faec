package commands

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// Get returns the state of the aggregate with the given id and its version, after the events that
// the unit has put; -1 and the zero state if its stream does not exist or is deleted. The unit
// comes to pass only if the stream is still at that version then. What the state refers to is
// shared: do not write into it.
//
// An error, one of Handle, ends the unit, whatever it decides. Get returns the zero state from then
// on.
func (h *Handler[S, E]) Get(tx *Unit, id string) (state S, version int64) {
	return h.get(tx, id, false)
}

// GetNew is Get for a command that is a Creator: if nothing is known of the stream, it is taken for one that does not exist, without a look.
// If there is one, the append says so, and the unit is decided again.
func (h *Handler[S, E]) GetNew(tx *Unit, id string) (state S, version int64) {
	return h.get(tx, id, true)
}

func (h *Handler[S, E]) get(tx *Unit, id string, isNew bool) (state S, version int64) {
	p := h.partOf(tx, id, isNew)
	if p == nil {
		return state, -1
	}
	return p.now.state, p.now.version
}

// Peek is Get of a state that the unit does not rest on: the stream may change before the unit
// comes to pass. What the unit has put is not in it.
func (h *Handler[S, E]) Peek(tx *Unit, id string) (state S, version int64) {
	state, version, err := h.Load(tx.ctx, id)
	if err != nil {
		tx.Fail(err)
	}
	return state, version
}

// Put adds events to the stream of the aggregate with the given id, behind those put before. As Get
// does, it lets the unit rest on the stream.
func (h *Handler[S, E]) Put(tx *Unit, id string, events ...E) {
	p := h.partOf(tx, id, false)
	if p == nil {
		return
	}
	encoded, next, err := h.prepare(p.stream, tx.request.metadata, p.now, events)
	if err != nil {
		tx.Fail(err)
		return
	}
	p.events, p.now = append(p.events, encoded...), next
}

// unitPart is a stream of a unit. Its aggregate is that of the handler.
type unitPart[S any, E Event[S]] struct {
	*Handler[S, E]
	stream string
	// known is what the stream was at when it was looked up last, if isKnown.
	known   versioned[S]
	isKnown bool
	// hasTurn says that nobody else of the handler runs on the stream.
	hasTurn bool
	// assumed: since it has the turn, the stream was once taken for one that does not exist.
	assumed bool
	// events are those that were put, now is the state after them.
	events []eventstore.Event
	now    versioned[S]
}

// partOf returns a stream's part of the unit, ready to be used; nil after an error. IsNew says that it may be taken for one that does not
// exist.
func (h *Handler[S, E]) partOf(tx *Unit, id string, isNew bool) *unitPart[S, E] {
	stream, err := h.stream(id)
	switch {
	case tx.err != nil:
		return nil
	case err == nil && !isSame(h.store, tx.units.store):
		err = fmt.Errorf("the handler of category %q has another store than the unit", h.config.Category)
	}
	if err != nil {
		tx.Fail(err)
		return nil
	}
	if tx.parts[stream] == nil {
		added := &unitPart[S, E]{Handler: h, stream: stream, known: nothing[S]()}
		added.tryEnter()
		tx.parts[stream] = added
	}
	p, ok := tx.parts[stream].(*unitPart[S, E])
	if !ok || p.Handler != h {
		tx.Fail(fmt.Errorf("two handlers of category %q are in one unit", h.config.Category))
		return nil
	}
	if slices.Contains(tx.asked, part(p)) {
		return p
	}
	if err := p.lookUp(tx.ctx, isNew); err != nil {
		tx.Fail(err)
		return nil
	}
	p.reset()
	tx.asked = append(tx.asked, p)
	return p
}

// isSame reports whether two stores are one, as far as they can be compared.
func isSame(a, b eventstore.Store) bool {
	t := reflect.TypeOf(a)
	return t == reflect.TypeOf(b) && (!t.Comparable() || a == b)
}

func (p *unitPart[S, E]) enter(ctx context.Context) error {
	if err := p.queue.enter(ctx, p.stream); err != nil {
		return err
	}
	// What was found before may be older than what those who had the turn since have written.
	p.hasTurn, p.isKnown, p.assumed = true, false, false
	return nil
}

func (p *unitPart[S, E]) tryEnter() { p.hasTurn = p.queue.tryEnter(p.stream) }

func (p *unitPart[S, E]) isEntered() bool { return p.hasTurn }

func (p *unitPart[S, E]) leave() {
	p.hasTurn = false
	p.queue.leave(p.stream)
}

// lookUp finds a state to decide from, if there is none: an append will tell whether it is the
// latest.
func (p *unitPart[S, E]) lookUp(ctx context.Context, isNew bool) error {
	if p.isKnown {
		return nil
	}
	if cached, ok := p.cache.get(p.stream); ok {
		p.known, p.isKnown = cached, true
		return nil
	}
	if isNew && !p.assumed {
		p.known, p.isKnown, p.assumed = nothing[S](), true, true
		return nil
	}
	return p.load(ctx)
}

// load takes up the state that the store has.
func (p *unitPart[S, E]) load(ctx context.Context) (err error) {
	load := p.loader.refresh
	if p.hasTurn { // else what is found may be older than what is cached by then
		load = p.Handler.reload
	}
	p.known, err = load(ctx, p.stream, p.known)
	p.isKnown = err == nil
	return err
}

func (p *unitPart[S, E]) reload(ctx context.Context) error {
	before := p.known.version
	if err := p.load(ctx); err != nil {
		return err
	}
	if p.known.version != before {
		return &eventstore.ConflictError{Stream: p.stream, Expected: eventstore.Exact(before), Actual: p.known.version}
	}
	return nil
}

func (p *unitPart[S, E]) reset() { p.events, p.now = nil, p.known }

func (p *unitPart[S, E]) mark() func() {
	events, now := slices.Clip(p.events), p.now
	return func() { p.events, p.now = events, now }
}

func (p *unitPart[S, E]) toAppend() eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: p.stream, Expected: eventstore.Exact(p.known.version), Events: p.events}
}

func (p *unitPart[S, E]) appended(to eventstore.Appended) {
	if len(p.events) > 0 {
		// The store counts: the versions of a stream that was deleted go on.
		p.now.version = to.Version
	}
	p.cache.put(p.stream, p.now)
}

func (p *unitPart[S, E]) forget() {
	p.cache.remove(p.stream)
	p.isKnown = false
}
