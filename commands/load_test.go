package commands

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

func mustDelete(t testing.TB, store eventstore.StreamManager, stream string) {
	t.Helper()
	if _, err := store.DeleteStream(t.Context(), stream, eventstore.StreamExists); err != nil {
		t.Fatal(err)
	}
}

func appendRaw(t testing.TB, store eventstore.Store, stream string, e eventstore.Event) {
	t.Helper()
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{e}}
	if _, err := store.Append(t.Context(), a, eventstore.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestDeletedStreamBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, cached := range []bool{true, false} {
		store := memstore.New(memstore.Config{})
		h := newAccounts(t, store, Config{})
		mustHandle(t, h, "1", deposit{10}, Options{})
		mustDelete(t, store, "account-1")
		if !cached {
			h = newAccounts(t, store, Config{})
		}

		wantBalance(t, h, "1", 0, -1)
		_, err := h.Handle(t.Context(), "1", withdraw{1}, Options{})
		wantError(t, err, errOverdrawn)
		got := mustHandle(t, h, "1", deposit{3}, Options{})
		if got.Version != 2 {
			t.Errorf("version = %d, want 2: 0 is the first life, 1 the mark of deletion", got.Version)
		}
		mustHandle(t, h, "1", deposit{4}, Options{})
		wantBalance(t, h, "1", 7, 3)
		wantBalance(t, newAccounts(t, store, Config{}), "1", 7, 3)
	}
}

// The first append does not know the version that it will get.
func TestVersionsGoOnBehindADeletion(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	mustHandle(t, newAccounts(t, store, Config{}), "1", deposit{10}, Options{})
	mustDelete(t, store, "account-1")
	// Nobody else writes from here, so nothing may conflict.
	h := newAccounts(t, store, Config{Retries: -1})
	for range 2 {
		mustHandle(t, h, "1", deposit{1}, Options{})
	}
	wantBalance(t, h, "1", 2, 3)
}

// A cached state must not be mixed with the events of a later life.
func TestStreamDeletedAndCreatedAgainByAnother(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h, other := newAccounts(t, store, Config{}), newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{100}, Options{})
	mustDelete(t, store, "account-1")
	mustHandle(t, other, "1", deposit{5}, Options{})

	wantBalance(t, h, "1", 5, 2)
	_, err := h.Handle(t.Context(), "1", withdraw{100}, Options{})
	wantError(t, err, errOverdrawn)
	mustHandle(t, h, "1", withdraw{5}, Options{})
	wantBalance(t, other, "1", 0, 3)
}

func TestStreamDeletedWhileItIsLoaded(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	other := newAccounts(t, store.Store, Config{})
	for range 3 {
		mustHandle(t, other, "1", deposit{1}, Options{})
	}
	mustDelete(t, store, "account-1")
	mustHandle(t, other, "1", deposit{10}, Options{})
	manager := &recreating{StreamManager: store.Store, once: func() {
		mustDelete(t, store, "account-1")
		mustHandle(t, other, "1", deposit{20}, Options{})
	}}
	l := loader[account, accountEvent]{store: store, manager: manager, codec: newCodec(t)}
	now, err := l.load(t.Context(), "account-1")
	if err != nil || now.state.Balance != 20 || now.version != 6 {
		t.Errorf("load = %+v, %v; want balance 20 at version 6", now, err)
	}
}

func TestTombstonedStreamIsAnError(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{10}, Options{})
	if _, err := store.TombstoneStream(t.Context(), "account-1", eventstore.Any); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Command[account, accountEvent]{deposit{1}, withdraw{99}} {
		_, err := h.Handle(t.Context(), "1", c, Options{})
		wantError(t, err, eventstore.ErrStreamDeleted)
	}
	_, err := newAccounts(t, store, Config{}).Handle(t.Context(), "1", deposit{1}, Options{})
	wantError(t, err, eventstore.ErrStreamDeleted)
}

func TestTruncatedStreamIsAnError(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name  string
		limit eventstore.StreamMetadata
		first int64
	}{
		{"before", eventstore.StreamMetadata{TruncateBefore: 2}, 2},
		{"count", eventstore.StreamMetadata{MaxCount: 1}, 2},
		{"age", eventstore.StreamMetadata{MaxAge: 60}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := now
			store := memstore.New(memstore.Config{Now: func() time.Time { return clock }})
			h := newAccounts(t, store, Config{})
			for range 3 {
				mustHandle(t, h, "1", deposit{1}, Options{})
			}
			if err := store.SetStreamMetadata(t.Context(), "account-1", c.limit); err != nil {
				t.Fatal(err)
			}
			clock = clock.Add(time.Hour)

			_, err := newAccounts(t, store, Config{}).Handle(t.Context(), "1", deposit{1}, Options{})
			wantError(t, err, ErrTruncated)
			var truncated *TruncatedError
			if !errors.As(err, &truncated) || truncated.First != c.first {
				t.Errorf("error = %#v, want a TruncatedError with First %d", err, c.first)
			}
		})
	}
}

// Without stream management nobody can say where a stream's life began.
func TestTruncatedStreamOfAPlainStore(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	if err := store.SetStreamMetadata(t.Context(), "account-1", eventstore.StreamMetadata{MaxCount: 1}); err != nil {
		t.Fatal(err)
	}
	_, _, err := newAccounts(t, plain{store}, Config{}).Load(t.Context(), "1")
	wantError(t, err, ErrTruncated)
}

func TestStreamWithAHoleIsAnError(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})
	for range 3 {
		mustHandle(t, h, "1", deposit{1}, Options{})
	}
	_, _, err := newAccounts(t, holed{plain{store}}, Config{}).Load(t.Context(), "1")
	wantError(t, err, eventstore.ErrCorrupt)
}

// holed is a store that has lost the events of version 1.
type holed struct{ eventstore.Store }

func (s holed) ReadStream(ctx context.Context, stream string, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range s.Store.ReadStream(ctx, stream, o) {
			if e.Version != 1 && !yield(e, err) {
				return
			}
		}
	}
}

// The state that is known goes on to count as long as nothing behind it can
// have been missed.
func TestTruncationBehindACachedStateIsNoticed(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h, other := newAccounts(t, store, Config{}), newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{10}, Options{})
	mustHandle(t, other, "1", withdraw{10}, Options{})
	if err := store.SetStreamMetadata(t.Context(), "account-1", eventstore.StreamMetadata{TruncateBefore: 5}); err != nil {
		t.Fatal(err)
	}
	_, err := h.Handle(t.Context(), "1", fill{10}, Options{})
	wantError(t, err, ErrTruncated)
	_, err = h.Handle(t.Context(), "1", withdraw{1}, Options{})
	wantError(t, err, ErrTruncated)
	mustHandle(t, other, "1", deposit{1}, Options{})
}

func TestEventsThatCannotBeReadAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		event eventstore.Event
		is    error
	}{
		{"unknown type", eventstore.Event{Type: "Frozen", Data: []byte("{}")}, eventstore.ErrUnknownType},
		{"unknown version", eventstore.Event{Type: "Deposited", SchemaVersion: 7, Data: []byte("{}")}, eventstore.ErrUnknownVersion},
		{"another aggregate's", eventstore.Event{Type: "Foreign", Data: []byte("{}")}, nil},
		{"not JSON", eventstore.Event{Type: "Deposited", Data: []byte("{")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := memstore.New(memstore.Config{})
			h := newAccounts(t, store, Config{})
			mustHandle(t, h, "1", deposit{10}, Options{})
			appendRaw(t, store, "account-1", c.event)

			_, err := h.Handle(t.Context(), "1", deposit{1}, Options{})
			var unread *EventError
			ok := errors.As(err, &unread)
			if !ok || unread.Stream != "account-1" || unread.Version != 1 || unread.Type != c.event.Type {
				t.Fatalf("error = %#v, want an EventError of account-1, version 1, type %s", err, c.event.Type)
			}
			if c.is != nil {
				wantError(t, err, c.is)
			}
		})
	}
}

// recreating lets something happen between a read and the look at the stream's
// state that follows it.
type recreating struct {
	eventstore.StreamManager
	once func()
}

func (m *recreating) StreamInfo(ctx context.Context, stream string) (eventstore.StreamInfo, error) {
	if m.once != nil {
		m.once()
		m.once = nil
	}
	return m.StreamManager.StreamInfo(ctx, stream)
}
