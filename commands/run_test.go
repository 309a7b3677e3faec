package commands

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// inParallel runs n functions at once and waits for them.
func inParallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func TestCommandsOnOneStreamNeverConflictInsideAProcess(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	var conflicts atomic.Int64
	store.after = func(_ eventstore.StreamAppend, err error) error {
		if errors.Is(err, eventstore.ErrConflict) {
			conflicts.Add(1)
		}
		return err
	}
	h := newAccounts(t, store, Config{Retries: -1})
	const n = 300
	inParallel(n, func(int) {
		if _, err := h.Handle(t.Context(), "1", deposit{1}, Options{}); err != nil {
			t.Error(err)
		}
	})
	wantBalance(t, h, "1", n, n-1)
	if conflicts.Load() != 0 {
		t.Errorf("%d appends conflicted, want none", conflicts.Load())
	}
	if len(h.queue.waiting) != 0 {
		t.Errorf("the queue still holds %d streams", len(h.queue.waiting))
	}
}

func TestHandlersOfTwoProcessesBothSucceed(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h, other := newAccounts(t, store, Config{}), newAccounts(t, store.Store, Config{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	store.before = once(func() { mustHandle(t, other, "1", deposit{10}, Options{}) })

	if got := mustHandle(t, h, "1", deposit{100}, Options{}); got.Version != 2 {
		t.Errorf("version = %d, want 2", got.Version)
	}
	wantBalance(t, h, "1", 111, 2)
	wantBalance(t, other, "1", 111, 2)
}

func TestHandlersOfTwoProcessesAtOnce(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	handlers := []*accounts{newAccounts(t, store, Config{Retries: 1000}), newAccounts(t, store, Config{Retries: 1000})}
	const n = 200
	inParallel(n, func(i int) {
		if _, err := handlers[i%2].Handle(t.Context(), "1", deposit{1}, Options{}); err != nil {
			t.Error(err)
		}
	})
	wantBalance(t, handlers[0], "1", n, n-1)
	wantBalance(t, handlers[1], "1", n, n-1)
}

func TestConflictReadsWhatIsNewOnly(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h, other := newAccounts(t, store, Config{}), newAccounts(t, store.Store, Config{})
	for range 3 {
		mustHandle(t, h, "1", deposit{1}, Options{})
	}
	var from []int64
	store.reading = func(_ string, version int64) { from = append(from, version) }
	store.before = once(func() { mustHandle(t, other, "1", deposit{1}, Options{}) })
	mustHandle(t, h, "1", deposit{1}, Options{})
	if fmt.Sprint(from) != "[2]" {
		t.Errorf("read from versions %v, want one read from the last known version 2", from)
	}
}

// The command is decided again from the newer state, not just appended again.
func TestConflictIsDecidedAgain(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h, other := newAccounts(t, store, Config{}), newAccounts(t, store.Store, Config{})
	mustHandle(t, h, "1", deposit{10}, Options{})
	store.before = once(func() { mustHandle(t, other, "1", withdraw{10}, Options{}) })

	_, err := h.Handle(t.Context(), "1", withdraw{10}, Options{})
	wantError(t, err, errOverdrawn)
	wantBalance(t, h, "1", 0, 1)
}

func TestConflictIsReturnedWhenRetriesAreUsedUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ retries, appends int }{{0, 11}, {3, 4}, {-1, 1}} {
		store := newFaulty()
		other := newAccounts(t, store.Store, Config{})
		appends := 0
		store.before = func(eventstore.StreamAppend) error {
			appends++
			mustHandle(t, other, "1", deposit{1}, Options{})
			return nil
		}
		h := newAccounts(t, store, Config{Retries: c.retries})
		_, err := h.Handle(t.Context(), "1", deposit{100}, Options{})
		wantError(t, err, eventstore.ErrConflict)
		if appends != c.appends {
			t.Errorf("Retries %d: %d appends, want %d", c.retries, appends, c.appends)
		}
		wantBalance(t, other, "1", c.appends, int64(c.appends-1))
	}
}

func TestAnswersFromTheCacheAreDecidedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		other Command[account, accountEvent]
		cmd   Command[account, accountEvent]
		o     Options
		want  int
	}{
		{"refusal", deposit{90}, withdraw{100}, Options{}, 0},
		{"nothing to do", withdraw{10}, fill{10}, Options{}, 10},
		{"expected version", deposit{90}, deposit{1}, Options{Expected: eventstore.Exact(1)}, 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := memstore.New(memstore.Config{})
			h, other := newAccounts(t, store, Config{}), newAccounts(t, store, Config{})
			mustHandle(t, h, "1", deposit{10}, Options{})
			mustHandle(t, other, "1", c.other, Options{})
			mustHandle(t, h, "1", c.cmd, c.o)
			wantBalance(t, h, "1", c.want, 2)
		})
	}
}

// What creates a stream is decided without a look at it, and comes to the same as any other
// command.
func TestCreatorReadsOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	reads, lookUps := 0, 0
	store.reading = func(string, int64) { reads++ }
	store.lookup = func() error { lookUps++; return nil }
	var seen []Observation
	h := newAccounts(t, store, Config{CacheSize: -1, Retries: -1, Observe: func(o Observation) { seen = append(seen, o) }})

	if got := mustHandle(t, h, "1", open{5}, Options{Receipt: receipt("k")}); got.Version != 0 || reads+lookUps != 0 {
		t.Errorf("Result = %+v after %d reads and %d look-ups, want version 0 and none", got, reads, lookUps)
	}
	mustHandle(t, h, "1", deposit{1}, Options{})
	_, err := h.Handle(t.Context(), "1", open{5}, Options{})
	if wantError(t, err, errIsOpen); rejection(t, err).Version != 1 {
		t.Errorf("error = %v, want the refusal of version 1", err)
	}
	_, err = h.Handle(t.Context(), "1", open{5}, Options{Expected: eventstore.Exact(1)})
	wantError(t, err, errIsOpen)
	_, err = h.Handle(t.Context(), "1", open{0}, Options{})
	wantError(t, err, errIsOpen)
	_, err = h.Handle(t.Context(), "2", open{0}, Options{})
	wantError(t, err, errOverdrawn)
	wantBalance(t, h, "1", 6, 1)

	mustDelete(t, store.Store, "account-1")
	reads = 0
	if got := mustHandle(t, h, "1", open{7}, Options{Expected: eventstore.NoStream}); got.Version != 3 || reads != 0 {
		t.Errorf("Result = %+v after %d reads, want version 3 and none", got, reads)
	}
	wantBalance(t, h, "1", 7, 3)
	for _, o := range seen {
		if o.Retries != 0 {
			t.Errorf("%+v, want no retries: nobody else wrote", o)
		}
	}
}

func TestErrorsOfTheStorePassAndDropTheCachedState(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{
		eventstore.ErrOverloaded, eventstore.ErrUnavailable, eventstore.ErrOutcomeUnknown,
		eventstore.ErrClosed, context.DeadlineExceeded,
	} {
		t.Run(fault.Error(), func(t *testing.T) {
			t.Parallel()
			store := newFaulty()
			h := newAccounts(t, store, Config{})
			mustHandle(t, h, "1", deposit{1}, Options{})
			reads := 0
			store.reading = func(string, int64) { reads++ }
			store.before = func(eventstore.StreamAppend) error { return fmt.Errorf("fault: %w", fault) }
			_, err := h.Handle(t.Context(), "1", deposit{1}, Options{})
			wantError(t, err, fault)
			if reads != 0 {
				t.Fatalf("%d reads before the fault, want a cached state", reads)
			}
			store.before = nil
			mustHandle(t, h, "1", deposit{1}, Options{})
			if reads != 1 {
				t.Errorf("%d reads after the fault, want 1", reads)
			}
			wantBalance(t, h, "1", 2, 1)
		})
	}
}

// The events may be there although the append said it does not know.
func TestOutcomeUnknownThatWasWritten(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h := newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{10}, Options{})
	store.after = func(eventstore.StreamAppend, error) error { return eventstore.ErrOutcomeUnknown }
	_, err := h.Handle(t.Context(), "1", withdraw{10}, Options{})
	wantError(t, err, eventstore.ErrOutcomeUnknown)

	store.after = nil
	_, err = h.Handle(t.Context(), "1", withdraw{10}, Options{})
	wantError(t, err, errOverdrawn)
}

func TestErrorsOfReadsPass(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	h := newAccounts(t, store, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	store.reading = func(string, int64) { cancel() }
	_, err := h.Handle(ctx, "1", deposit{1}, Options{})
	wantError(t, err, context.Canceled)
	wantBalance(t, h, "1", 0, -1)

	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Command[account, accountEvent]{deposit{1}, fill{0}} {
		_, err = h.Handle(t.Context(), "1", c, Options{})
		wantError(t, err, eventstore.ErrClosed)
	}
}

func TestCacheHoldsTheStreamsUsedLast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size int
		used []string
		want map[string]int // reads
	}{
		{2, []string{"a", "b", "a", "c", "a", "b"}, map[string]int{"a": 1, "b": 2, "c": 1}},
		{-1, []string{"a", "a", "a"}, map[string]int{"a": 3}},
		{0, []string{"a", "b", "c", "a", "b", "c"}, map[string]int{"a": 1, "b": 1, "c": 1}},
	} {
		store := newFaulty()
		reads := map[string]int{}
		store.reading = func(stream string, _ int64) { reads[eventstore.StreamID(stream)]++ }
		h := newAccounts(t, store, Config{CacheSize: c.size})
		for _, id := range c.used {
			mustHandle(t, h, id, deposit{1}, Options{})
		}
		if fmt.Sprint(reads) != fmt.Sprint(c.want) {
			t.Errorf("cache of %d: reads = %v, want %v", c.size, reads, c.want)
		}
		if c.size > 0 && h.cache.states.Len() > c.size {
			t.Errorf("cache of %d holds %d states", c.size, h.cache.states.Len())
		}
	}
}

// Unknown ids would otherwise push the states in use out of the cache.
func TestStreamsThatDoNotExistAreNotCached(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	for i := range 10 {
		_, err := h.Handle(t.Context(), fmt.Sprint(i), withdraw{1}, Options{})
		wantError(t, err, errOverdrawn)
	}
	if n := h.cache.states.Len(); n != 0 {
		t.Errorf("the cache holds %d states, want none", n)
	}
}

func TestEvolveThatPanicsWritesNothing(t *testing.T) {
	t.Parallel()
	codec, err := eventstore.NewCodec(eventstore.TypeOf[explosive]("Explosive", 1))
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New(memstore.Config{})
	h, err := NewHandler[int, explosive](store, codec, Config{Category: "bomb"})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = h.Handle(t.Context(), "1", light{}, Options{})
	}()
	head, err := store.Head(t.Context())
	if err != nil || head.Position != 0 {
		t.Errorf("Head = %+v, %v; want an empty log", head, err)
	}
}

type explosive struct{}

func (explosive) Evolve(int) int { panic("boom") }

type light struct{}

func (light) Decide(int) ([]explosive, error) { return []explosive{{}}, nil }
