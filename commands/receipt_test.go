package commands

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// receipt asks for a receipt whose answer tells what was refused.
func receipt(key string) *ReceiptRequest {
	return &ReceiptRequest{Scope: "tester", Key: key, Fingerprint: []byte("f"), Answer: func(refusal error) Answer {
		return Answer{Code: 7, Body: fmt.Appendf(nil, "refusal: %v", refusal)}
	}}
}

func TestReplayGivesTheFirstResult(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cmd  Command[account, accountEvent]
	}{{"events", deposit{5}}, {"nothing to do", fill{0}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := memstore.New(memstore.Config{})
			h := newAccounts(t, store, Config{})
			mustHandle(t, h, "1", deposit{10}, Options{})
			first := mustHandle(t, h, "1", c.cmd, Options{Receipt: receipt("k")})
			if string(first.Answer.Body) != "refusal: <nil>" || first.Replayed {
				t.Errorf("first Result = %+v", first)
			}
			mustHandle(t, h, "1", deposit{1}, Options{})

			for _, again := range []*accounts{h, newAccounts(t, store, Config{})} {
				got := mustHandle(t, again, "1", c.cmd, Options{Receipt: receipt("k")})
				want := first
				want.Replayed = true
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("replay = %+v, want %+v", got, want)
				}
			}
		})
	}
}

// A refusal is final for its receipt, even if the command would pass by now.
func TestReplayGivesTheFirstRefusal(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	_, err := h.Handle(t.Context(), "1", withdraw{10}, Options{Receipt: receipt("k")})
	wantError(t, err, errOverdrawn)
	first := rejection(t, err)
	mustHandle(t, h, "1", deposit{100}, Options{})

	_, err = newAccounts(t, store, Config{}).Handle(t.Context(), "1", withdraw{10}, Options{Receipt: receipt("k")})
	wantError(t, err, ErrRejected)
	wantError(t, err, ErrRefusedBefore)
	got := rejection(t, err)
	if !got.Replayed || got.Stream != first.Stream || got.Version != first.Version {
		t.Errorf("replay = %+v, want that of %+v", got, first)
	}
	if want := "refusal: not that much in the account"; string(first.Answer.Body) != want || string(got.Answer.Body) != want {
		t.Errorf("answers = %q, then %q; want %q twice", first.Answer.Body, got.Answer.Body, want)
	}
	wantBalance(t, h, "1", 101, 1)
}

func rejection(t *testing.T, err error) *RejectedError {
	t.Helper()
	var rejected *RejectedError
	ok := errors.As(err, &rejected)
	if !ok {
		t.Fatalf("error = %v, want a RejectedError", err)
	}
	return rejected
}

func TestReceiptOfAnotherRequest(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h := newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{1}, Options{Receipt: receipt("k")})
	other := receipt("k")
	other.Fingerprint = []byte("g")
	_, err := h.Handle(t.Context(), "1", deposit{1}, Options{Receipt: other})
	wantError(t, err, eventstore.ErrReceiptMismatch)

	// The same, found by a look-up.
	_, err = h.Handle(t.Context(), "1", deposit{1}, Options{Receipt: other, Expected: eventstore.Exact(7)})
	wantError(t, err, eventstore.ErrReceiptMismatch)
	wantBalance(t, h, "1", 1, 0)
}

func TestReceiptThatNoCommandWrote(t *testing.T) {
	t.Parallel()
	for _, answer := range [][]byte{nil, []byte("hello")} {
		store := memstore.New(memstore.Config{})
		r := eventstore.Receipt{Scope: "tester", Key: "k", Fingerprint: []byte("f"), Answer: answer}
		_, err := store.Append(t.Context(), eventstore.StreamAppend{Stream: "x", Expected: eventstore.Any}, eventstore.AppendOptions{Receipt: &r})
		if err != nil {
			t.Fatal(err)
		}
		h := newAccounts(t, store, Config{})
		_, err = h.Handle(t.Context(), "1", deposit{1}, Options{Receipt: receipt("k")})
		wantError(t, err, eventstore.ErrReceiptMismatch)
	}
}

func TestSameRequestManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	handlers := []*accounts{newAccounts(t, store, Config{}), newAccounts(t, store, Config{})}
	var first, replays atomic.Int64
	inParallel(50, func(i int) {
		result, err := handlers[i%2].Handle(t.Context(), "1", deposit{7}, Options{Receipt: receipt("k")})
		switch {
		case err != nil:
			t.Error(err)
		case result.Replayed:
			replays.Add(1)
		default:
			first.Add(1)
		}
	})
	if first.Load() != 1 || replays.Load() != 49 {
		t.Errorf("%d first runs and %d replays, want 1 and 49", first.Load(), replays.Load())
	}
	wantBalance(t, handlers[0], "1", 7, 0)
}

// Another process takes the same request between look-up and append.
func TestReceiptWrittenByAFasterProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cmd  Command[account, accountEvent]
		id   string // of the faster run; ids may be drawn anew for each try
	}{
		{"accepted", deposit{5}, "1"},
		{"accepted under another id", deposit{5}, "2"},
		{"refused", withdraw{99}, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := newFaulty()
			h, other := newAccounts(t, store, Config{}), newAccounts(t, store.Store, Config{})
			mustHandle(t, h, "1", deposit{10}, Options{})
			var firstErr error
			store.before = once(func() {
				_, firstErr = other.Handle(t.Context(), c.id, c.cmd, Options{Receipt: receipt("k")})
			})
			result, err := h.Handle(t.Context(), "1", c.cmd, Options{Receipt: receipt("k")})
			if firstErr != nil {
				wantError(t, firstErr, errOverdrawn)
				wantError(t, err, ErrRefusedBefore)
				return
			}
			if err != nil || !result.Replayed || result.Stream != "account-"+c.id {
				t.Errorf("Handle = %+v, %v; want the replay of account-%s", result, err, c.id)
			}
		})
	}
}

// The first run moved the stream, so its retry cannot meet If-Match any more.
func TestReplayComesBeforeTheExpectedVersion(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h, other := newAccounts(t, store, Config{}), newAccounts(t, store.Store, Config{})
	o := Options{Expected: eventstore.Exact(0), Receipt: receipt("k")}
	mustHandle(t, other, "1", deposit{10}, Options{})
	raced := false
	store.reading = func(string, int64) {
		if !raced {
			raced = true
			mustHandle(t, other, "1", deposit{5}, o)
		}
	}
	for range 2 {
		if got := mustHandle(t, h, "1", deposit{5}, o); !got.Replayed || got.Version != 1 {
			t.Errorf("Result = %+v, want the replay of version 1", got)
		}
	}
	wantBalance(t, h, "1", 15, 1)
}

// A refusal is kept only for the version of the stream that it was made from.
func TestRefusalIsDecidedAgainIfTheStreamMoved(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h, other := newAccounts(t, store, Config{}), newAccounts(t, store.Store, Config{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	store.before = once(func() { mustHandle(t, other, "1", deposit{99}, Options{}) })
	got := mustHandle(t, h, "1", withdraw{100}, Options{Receipt: receipt("k")})
	if got.Version != 2 || string(got.Answer.Body) != "refusal: <nil>" {
		t.Errorf("Result = %+v, want version 2 and no refusal", got)
	}
}

// A domain error may look like an error of the store.
func TestRefusalThatWrapsAConflictIsFinal(t *testing.T) {
	t.Parallel()
	calls := 0
	refuse := decideFunc(func(account) ([]accountEvent, error) {
		calls++
		return nil, fmt.Errorf("not now: %w", eventstore.ErrConflict)
	})
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	_, err := h.Handle(t.Context(), "1", refuse, Options{Receipt: receipt("k")})
	if got := rejection(t, err); got.Replayed || calls != 1 {
		t.Errorf("error = %+v after %d calls, want a first refusal after 1", got, calls)
	}
}

func TestRetryAfterAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{true, false} {
		store := newFaulty()
		h := newAccounts(t, store, Config{})
		if written {
			store.after = func(eventstore.StreamAppend, error) error { return eventstore.ErrOutcomeUnknown }
		} else {
			store.before = func(eventstore.StreamAppend) error { return eventstore.ErrOutcomeUnknown }
		}
		_, err := h.Handle(t.Context(), "1", deposit{5}, Options{Receipt: receipt("k")})
		wantError(t, err, eventstore.ErrOutcomeUnknown)

		store.before, store.after = nil, nil
		got := mustHandle(t, h, "1", deposit{5}, Options{Receipt: receipt("k")})
		if got.Replayed != written || got.Version != 0 {
			t.Errorf("written %v: Result = %+v, want version 0", written, got)
		}
		wantBalance(t, h, "1", 5, 0)
	}
}

func TestReceiptNeedsAStoreThatKeepsIt(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, plain{memstore.New(memstore.Config{})}, Config{})
	_, err := h.Handle(t.Context(), "1", deposit{1}, Options{Receipt: receipt("k")})
	wantError(t, err, eventstore.ErrNotSupported)
	mustHandle(t, h, "1", deposit{1}, Options{})
	wantBalance(t, h, "1", 1, 0)
}

// plain is a store without optional abilities.
type plain struct{ eventstore.Store }

func (plain) Features() eventstore.Features { return eventstore.Features{} }

func TestLookUpOfAReceiptFails(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	store.lookup = func() error { return eventstore.ErrUnavailable }
	h := newAccounts(t, store, Config{})
	// It may be the first run that moved the stream.
	_, err := h.Handle(t.Context(), "1", deposit{1}, Options{Receipt: receipt("k"), Expected: eventstore.Exact(0)})
	wantError(t, err, eventstore.ErrUnavailable)
	wantBalance(t, h, "1", 0, -1)
}

// To look receipts up costs a round trip, and pays only where there are some to find.
func TestReceiptsAreLookedUpWhileReplaysAreCommon(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	lookUps := 0
	store.lookup = func() error { lookUps++; return nil }
	h := newAccounts(t, store, Config{})
	handle := func(n int, key string) {
		for i := range n {
			mustHandle(t, h, "1", deposit{1}, Options{Receipt: receipt(fmt.Sprintf(key, i))})
		}
	}
	handle(100, "first %d")
	handle(2, "first %d")
	if lookUps != 0 {
		t.Errorf("%d look-ups with 2 replays in 102, want none", lookUps)
	}
	handle(50, "first %d")
	if lookUps < 45 {
		t.Errorf("%d look-ups for 50 replays, want nearly as many", lookUps)
	}
	handle(2000, "second %d")
	lookUps = 0
	handle(100, "third %d")
	if lookUps != 0 {
		t.Errorf("%d look-ups long after the last replay, want none", lookUps)
	}
	wantBalance(t, h, "1", 2200, 2199)
}

// A first answer does not depend on what became of the stream, or on whether there can be another.
func TestReplayOfWhatCannotBeRunAgain(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h := newAccounts(t, store, Config{CacheSize: -1})
	for _, c := range []Command[account, accountEvent]{deposit{1}, open{1}} {
		id := fmt.Sprintf("%T", c)
		want := mustHandle(t, h, id, c, Options{Receipt: receipt(id)})
		want.Replayed = true
		again := func(why string) {
			t.Helper()
			if got := mustHandle(t, h, id, c, Options{Receipt: receipt(id)}); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: replay = %+v, want %+v", why, got, want)
			}
		}
		store.before = func(eventstore.StreamAppend) error { return eventstore.ErrUnavailable }
		again("a store that cannot be written to")
		store.before = nil
		if _, err := store.TombstoneStream(t.Context(), "account-"+id, eventstore.Exact(0)); err != nil {
			t.Fatal(err)
		}
		again("a stream that was deleted for ever")
	}
}

func TestAnswerIsBounded(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	answer := func(n int) *ReceiptRequest {
		r := receipt(fmt.Sprint(n))
		r.Answer = func(error) Answer { return Answer{Code: math.MaxInt, Body: bytes.Repeat([]byte("x"), n)} }
		return r
	}
	_, err := h.Handle(t.Context(), "1", deposit{1}, Options{Receipt: answer(MaxAnswerBytes + 1)})
	wantError(t, err, eventstore.ErrInvalid)
	if !strings.Contains(err.Error(), "65504") {
		t.Errorf("error %q does not name the bound", err)
	}
	mustHandle(t, h, "1", deposit{1}, Options{Receipt: answer(MaxAnswerBytes)})
	wantBalance(t, h, "1", 1, 0)
}

// Receipts are read by programs of before and after the one that wrote them.
func TestAnswersAsTheyAreKept(t *testing.T) {
	for _, c := range []struct {
		kept    string
		want    Answer
		refused bool
		again   string // as it is written now, where that differs
	}{
		{"\x01201\n", Answer{201, nil}, false, ""},
		{"\x02409\n{\"a\":\n1}", Answer{409, []byte("{\"a\":\n1}")}, true, ""},
		{"\x01", Answer{}, false, "\x010\n"},
		{"\x02no\nthanks", Answer{0, []byte("no\nthanks")}, true, "\x020\nno\nthanks"},
	} {
		got, refused, ok := decodeAnswer([]byte(c.kept))
		if !ok || refused != c.refused || got.Code != c.want.Code || !bytes.Equal(got.Body, c.want.Body) {
			t.Errorf("%q is read as %+v, refused %t, %t; want %+v", c.kept, got, refused, ok, c.want)
		}
		if again := string(got.encode(refused)); again != cmp.Or(c.again, c.kept) {
			t.Errorf("%q is written as %q", c.kept, again)
		}
	}
}

func TestReceiptWithoutAnswer(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	r := &ReceiptRequest{Scope: "s", Key: "k"}
	for i := range 2 {
		got := mustHandle(t, h, "1", deposit{1}, Options{Receipt: r})
		if got.Answer.Code != 0 || len(got.Answer.Body) != 0 || got.Replayed != (i == 1) {
			t.Errorf("run %d: Result = %+v", i, got)
		}
	}
}
