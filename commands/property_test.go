package commands

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

// Whatever two processes do to a few streams, in whatever order, every answer
// and every state is that of a single process that does one thing at a time.
func TestTwoHandlersAreOneAfterAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		store := newFaulty()
		size := rapid.SampledFrom([]int{-1, 1, 2, 0})
		w := &world{
			t: t, store: store, model: map[string]*modelStream{},
			handlers: []*accounts{
				newAccounts(t, store, Config{CacheSize: size.Draw(rt, "cache")}),
				newAccounts(t, store, Config{CacheSize: size.Draw(rt, "cache")}),
			},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"handle": w.handle,
			"delete": w.delete,
			"":       w.check,
		})
	})
}

// world is two handlers on one store, and a model of what is in it.
type world struct {
	t        *testing.T
	store    *faulty
	handlers []*accounts
	model    map[string]*modelStream
	keys     int // receipts used so far
}

// modelStream is a stream as it has to be.
type modelStream struct {
	state   account
	exists  bool
	version int64 // of the last event, marks of deletion included
}

var (
	ids      = rapid.SampledFrom([]string{"a", "b", "c"})
	requests = rapid.Custom(func(t *rapid.T) Command[account, accountEvent] {
		n := rapid.IntRange(0, 20).Draw(t, "amount")
		return rapid.SampledFrom([]Command[account, accountEvent]{deposit{n}, withdraw{n}, fill{n}}).Draw(t, "command")
	})
)

// handle runs a command on one handler. If it comes to an append, the other
// handler may run one on the same stream just before.
func (w *world) handle(rt *rapid.T) {
	i, id, c := rapid.IntRange(0, 1).Draw(rt, "handler"), ids.Draw(rt, "id"), requests.Draw(rt, "c")
	var o Options
	if rapid.Bool().Draw(rt, "receipt") {
		w.keys++
		o.Receipt = receipt(fmt.Sprint(w.keys))
	}
	if rapid.Bool().Draw(rt, "interrupt") {
		between := requests.Draw(rt, "between")
		w.store.before = once(func() { w.run(rt, 1-i, id, between, Options{}) })
		defer func() { w.store.before = nil }()
	}
	w.run(rt, i, id, c, o)
}

func (w *world) run(rt *rapid.T, handler int, id string, c Command[account, accountEvent], o Options) {
	result, err := w.handlers[handler].Handle(w.t.Context(), id, c, o)
	m := w.stream(id)
	refusal, written := m.apply(c)
	switch {
	case refusal != nil:
		if !errors.Is(err, refusal) {
			rt.Fatalf("Handle(%q, %#v): error %v, want %v", id, c, err, refusal)
		}
	case err != nil:
		rt.Fatalf("Handle(%q, %#v): %v", id, c, err)
	case written && result.Version != m.version:
		rt.Fatalf("Handle(%q, %#v): version %d, want %d", id, c, result.Version, m.version)
	case !written && result.Position != 0:
		rt.Fatalf("Handle(%q, %#v): position %d, want nothing written", id, c, result.Position)
	}
}

func (m *modelStream) apply(c Command[account, accountEvent]) (refusal error, written bool) {
	events, refusal := c.Decide(m.state)
	for _, e := range events {
		m.state = e.Evolve(m.state)
		m.version++
		m.exists = true
	}
	return refusal, len(events) > 0
}

func (w *world) stream(id string) *modelStream {
	if w.model[id] == nil {
		w.model[id] = &modelStream{version: -1}
	}
	return w.model[id]
}

func (w *world) delete(rt *rapid.T) {
	id := ids.Draw(rt, "id")
	m := w.stream(id)
	if !m.exists {
		rt.Skip("nothing to delete")
	}
	mustDelete(w.t, w.store, "account-"+id)
	*m = modelStream{version: m.version + 1}
}

// check compares what both handlers load, and a plain fold, with the model.
func (w *world) check(rt *rapid.T) {
	for id, m := range w.model {
		version := m.version
		if !m.exists {
			version = -1
		}
		for i, h := range w.handlers {
			state, v, err := h.Load(w.t.Context(), id)
			if err != nil || v != version || !same(state, m.state) {
				rt.Fatalf("handler %d: Load(%q) = %+v at %d, %v; want %+v at %d", i, id, state, v, err, m.state, version)
			}
		}
		if state := w.fold(rt, id); !same(state, m.state) {
			rt.Fatalf("fold of %q = %+v, want %+v", id, state, m.state)
		}
	}
}

func (w *world) fold(rt *rapid.T, id string) (state account) {
	codec := newCodec(w.t)
	for e, err := range w.store.ReadStream(w.t.Context(), "account-"+id, eventstore.ReadOptions{}) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return account{}
		}
		if err != nil {
			rt.Fatal(err)
		}
		v, err := codec.Decode(e.Event)
		if err != nil {
			rt.Fatal(err)
		}
		state = v.(accountEvent).Evolve(state)
	}
	return state
}

func same(a, b account) bool {
	return a.Balance == b.Balance && slices.Equal(a.Entries, b.Entries)
}
