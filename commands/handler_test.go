package commands

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

func TestHandleAppendsWhatIsDecided(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})

	first := mustHandle(t, h, "1", deposit{10}, Options{})
	if first.Stream != "account-1" || first.Version != 0 || first.Position != 1 || first.Token.Position != 1 {
		t.Errorf("first Result = %+v, want account-1 at version 0, position 1", first)
	}
	second := mustHandle(t, h, "1", withdraw{4}, Options{})
	if second.Version != 1 || second.Position != 2 {
		t.Errorf("second Result = %+v, want version 1, position 2", second)
	}
	wantBalance(t, h, "1", 6, 1)
	wantBalance(t, newAccounts(t, store, Config{}), "1", 6, 1)
}

func TestRefusalWrapsTheDomainError(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	mustHandle(t, h, "1", deposit{10}, Options{})

	_, err := h.Handle(t.Context(), "1", withdraw{11}, Options{})
	wantError(t, err, errOverdrawn)
	wantError(t, err, ErrRejected)
	var rejected *RejectedError
	ok := errors.As(err, &rejected)
	if !ok || rejected.Stream != "account-1" || rejected.Version != 0 || rejected.Replayed {
		t.Errorf("error = %#v, want a RejectedError of account-1 at version 0", err)
	}
	wantBalance(t, h, "1", 10, 0)
}

func TestEventsBesideARefusalAreIgnored(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	both := decideFunc(func(account) ([]accountEvent, error) { return []accountEvent{deposited{1}}, errOverdrawn })
	_, err := h.Handle(t.Context(), "1", both, Options{})
	wantError(t, err, errOverdrawn)
	wantBalance(t, h, "1", 0, -1)
}

func TestNothingToDoSucceedsAtThePresentVersion(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})
	if got := mustHandle(t, h, "1", fill{0}, Options{}); got.Version != -1 || got.Position != 0 {
		t.Errorf("Result on no stream = %+v, want version -1, position 0", got)
	}
	mustHandle(t, h, "1", deposit{10}, Options{})
	got := mustHandle(t, h, "1", fill{10}, Options{})
	if got.Version != 0 || got.Position != 0 {
		t.Errorf("Result = %+v, want version 0, position 0", got)
	}
	if got.Token.Position != 1 {
		t.Errorf("token is at position %d, want 1: behind what the decision rests on", got.Token.Position)
	}
}

func TestExpectedVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		id       string
		expected eventstore.ExpectedVersion
		ok       bool
	}{
		{"any", "old", eventstore.Any, true},
		{"right version", "old", eventstore.Exact(1), true},
		{"earlier version", "old", eventstore.Exact(0), false},
		{"later version", "old", eventstore.Exact(2), false},
		{"new, but is old", "old", eventstore.NoStream, false},
		{"old", "old", eventstore.StreamExists, true},
		{"new", "new", eventstore.NoStream, true},
		{"old, but is new", "new", eventstore.StreamExists, false},
		{"version of a new one", "new", eventstore.Exact(0), false},
		{"deleted counts as new", "deleted", eventstore.NoStream, true},
		{"deleted does not exist", "deleted", eventstore.StreamExists, false},
		{"mark of deletion is no version", "deleted", eventstore.Exact(1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := memstore.New(memstore.Config{})
			h := newAccounts(t, store, Config{})
			mustHandle(t, h, "old", deposit{1}, Options{})
			mustHandle(t, h, "old", deposit{1}, Options{})
			mustHandle(t, h, "deleted", deposit{1}, Options{})
			mustDelete(t, store, "account-deleted")

			_, err := h.Handle(t.Context(), c.id, deposit{1}, Options{Expected: c.expected})
			if c.ok {
				if err != nil {
					t.Errorf("Handle: %v", err)
				}
				return
			}
			var conflict *eventstore.ConflictError
			ok := errors.As(err, &conflict)
			if !ok || conflict.Expected != c.expected {
				t.Errorf("Handle: error %v, want a ConflictError that expected %s", err, c.expected)
			}
		})
	}
}

func TestBadInputIsNamed(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	for _, id := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 600)} {
		_, err := h.Handle(t.Context(), id, deposit{1}, Options{})
		wantError(t, err, eventstore.ErrInvalid)
		_, _, err = h.Load(t.Context(), id)
		wantError(t, err, eventstore.ErrInvalid)
	}
	for _, r := range []ReceiptRequest{{Key: "k"}, {Scope: "s"}, {Scope: "s", Key: "\x00"}, {Scope: "s", Key: "k", Fingerprint: make([]byte, 65)}} {
		_, err := h.Handle(t.Context(), "1", deposit{1}, Options{Receipt: &r})
		wantError(t, err, eventstore.ErrInvalid)
	}
	if _, _, err := h.Load(t.Context(), "with-dash and space"); err != nil {
		t.Errorf("Load of an id with a dash: %v", err)
	}
}

func TestNewHandlerChecksItsInput(t *testing.T) {
	t.Parallel()
	store, codec := memstore.New(memstore.Config{}), newCodec(t)
	for _, category := range []string{"", "a-b", "$system", "a\nb"} {
		if _, err := NewHandler[account, accountEvent](store, codec, Config{Category: category}); err == nil {
			t.Errorf("NewHandler with category %q: no error", category)
		}
	}
	if _, err := NewHandler[account, accountEvent](nil, codec, Config{Category: "a"}); err == nil {
		t.Error("NewHandler without a store: no error")
	}
	if _, err := NewHandler[account, accountEvent](store, nil, Config{Category: "a"}); err == nil {
		t.Error("NewHandler without a codec: no error")
	}
	if _, err := NewHandler[account, deposited](store, codec, Config{Category: "a"}); err != nil {
		t.Errorf("NewHandler for one registered event type: %v", err)
	}
	empty, err := eventstore.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewHandler[account, deposited](store, empty, Config{Category: "a"})
	wantError(t, err, eventstore.ErrUnknownType)
}

func TestEventsThatCannotBeReadBackAreNotWritten(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	for _, e := range []accountEvent{brittle{}, &deposited{1}, nil} {
		c := decideFunc(func(account) ([]accountEvent, error) { return []accountEvent{deposited{1}, e}, nil })
		if _, err := h.Handle(t.Context(), "1", c, Options{}); err == nil {
			t.Errorf("Handle of a command that decides %T: no error", e)
		}
	}
	wantBalance(t, h, "1", 0, -1)
}

func TestPanicsPassAndGiveTheTurnBack(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	boom := decideFunc(func(account) ([]accountEvent, error) { panic("boom") })
	func() {
		defer func() {
			if r := recover(); r != "boom" {
				t.Errorf("recovered %v, want boom", r)
			}
		}()
		_, _ = h.Handle(t.Context(), "1", boom, Options{})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := h.Handle(ctx, "1", deposit{1}, Options{}); err != nil {
		t.Errorf("Handle after a panic: %v", err)
	}
	if n := len(h.queue.waiting); n != 0 {
		t.Errorf("%d turns are still taken", n)
	}
}
