package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// errNot is an error of a handler.
var errNot = errors.New("not now")

// script is a handler that does with each try of an event what the test says.
type script struct {
	seen
	// fails returns what the n-th try of an event returns.
	fails func(e Event, n int) error
	mu    sync.Mutex
	done  []Event
}

func (s *script) handle(_ context.Context, d *Delivery) error {
	e := d.Events[0]
	n := s.add(e)
	if err := s.fails(e, n); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, e)
	return nil
}

// delivered returns the positions that were delivered, in order, of one stream or of all.
func (s *script) delivered(stream string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int64
	for _, e := range s.done {
		if stream == "" || e.Stream == stream {
			all = append(all, e.Position)
		}
	}
	return all
}

func (s *script) tries(position int64) int {
	n := 0
	for _, p := range s.positions() {
		if p == position {
			n++
		}
	}
	return n
}

// delivers waits until a script has delivered these positions of a stream, in this order.
func (b *bench) delivers(s *script, stream string, want ...int64) {
	b.Helper()
	b.eventually(func() error {
		if got := s.delivered(stream); !slices.Equal(got, want) {
			return fmt.Errorf("of %q %v were delivered, want %v", stream, got, want)
		}
		return nil
	})
}

// alive keeps appending to a stream of its own while a test waits: what works for other keys shows that the target does.
func (b *bench) alive() (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			_, err := b.store.Append(ctx, eventstore.StreamAppend{Stream: fmt.Sprintf("alive-%d", n%7), Expected: eventstore.Any,
				Events: []eventstore.Event{{Type: "Alive", Data: []byte(`{}`)}}}, eventstore.AppendOptions{})
			if err != nil && ctx.Err() == nil {
				b.Error(err)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// TestFault01WhatFailsIsNotLost: the reference acknowledged what its handler had logged an error for.
func TestFault01WhatFailsIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var broken atomic.Bool
	broken.Store(true)
	s := &script{fails: func(e Event, n int) error {
		if broken.Load() && e.Stream == "order-1" {
			return errNot
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), nil)))
	first := b.events("order-1", placed{})
	b.eventually(func() error {
		if s.tries(first) < 2 || b.rows("h", "waiting") != 1 {
			return fmt.Errorf("%d tries and %d rows, want more tries and a row", s.tries(first), b.rows("h", "waiting"))
		}
		return nil
	})
	broken.Store(false)
	b.delivers(s, "order-1", first)
	b.cursors("h", 0, nil)
}

// TestFault02ThereIsOneDeadLetterAfterTheLastAttempt: the reference wrote one for each retry, and retried on.
func TestFault02ThereIsOneDeadLetterAfterTheLastAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := &script{fails: func(e Event, n int) error {
		if e.Stream == "order-1" {
			return errNot
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), func(d *Definition) { d.Retry.MaxAttempts = 3 })))
	stop := b.alive()
	poison := b.events("order-1", placed{})
	b.cursors("h", 0, map[string]int{"dead": 1})
	stop()
	charged := read[int](b, `SELECT charged FROM {schema}.subscription_parked WHERE position = $1 AND class = 'exhausted' AND error = 'not now' AND dead_at IS NOT NULL`, poison)
	if charged != 3 {
		t.Errorf("%d attempts were charged, want 3", charged)
	}
	tries := s.tries(poison)
	b.eventually(func() error {
		if kept := read[int](b, `SELECT count(*) FROM {schema}.subscription_attempts WHERE position = $1 AND outcome = 'transient'`, poison); kept != tries {
			return fmt.Errorf("%d attempts are written down, want %d", kept, tries)
		}
		return nil
	})
	after := b.events("order-1", placed{})
	b.eventually(func() error {
		if s.tries(after) == 0 {
			return errors.New("the next of the key was not tried")
		}
		return nil
	})
	if got := s.tries(poison); got != tries {
		t.Errorf("the dead letter was tried again: %d times, before %d", got, tries)
	}
}

// TestFault10ARetryHoldsUpOnlyItsKey: the reference slept in its worker.
func TestFault10ARetryHoldsUpOnlyItsKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mended atomic.Bool
	s := &script{fails: func(e Event, n int) error {
		if e.Stream == "order-1" && !mended.Load() {
			return RetryAfter(errNot, 50*time.Millisecond)
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), func(d *Definition) {
		d.Partitions, d.MaxInFlight, d.Retry.MaxAttempts = 1, 2, 1000
	})))
	bad := b.events("order-1", placed{})
	second := b.events("order-1", placed{})
	var others []int64
	for i := range 50 {
		others = append(others, b.events(fmt.Sprintf("order-%d", 100+i), placed{}))
	}
	b.eventually(func() error {
		if got := s.delivered(""); len(got) != len(others) {
			return fmt.Errorf("%d others were delivered, want %d", len(got), len(others))
		}
		return nil
	})
	third := b.events("order-1", placed{})
	b.events("order-100", placed{})
	b.cursors("h", third, map[string]int{"waiting": 1, "blocked": 2})
	if s.tries(second) > 0 || s.tries(third) > 0 {
		t.Error("one behind a failed event of its key was tried")
	}
	mended.Store(true)
	b.delivers(s, "order-1", bad, second, third)
	b.cursors("h", third, nil)
}

// TestFault11DeadLettersOutliveTheProcess: those of the reference were in a channel.
func TestFault11DeadLettersOutliveTheProcess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := &script{fails: func(e Event, n int) error {
		if e.Stream == "order-1" {
			return Permanent(errNot)
		}
		return nil
	}}
	subscription := declare(from(AtBeginning, HandleRaw("h", s.handle), nil))
	p := b.process("one", subscription)
	stop := b.alive()
	var bad []int64
	for range 20 {
		bad = append(bad, b.events("order-1", placed{}))
	}
	b.cursors("h", 0, map[string]int{"dead": len(bad)})
	stop()
	tries := make(map[int64]int)
	for _, position := range bad {
		tries[position] = s.tries(position)
	}
	b.killProcess(p)
	b.process("two", subscription)
	b.events("order-2", placed{})
	b.eventually(func() error {
		if got := s.delivered("order-2"); len(got) == 0 {
			return errors.New("nobody delivers")
		}
		return nil
	})
	b.cursors("h", 0, map[string]int{"dead": len(bad)})
	for _, position := range bad {
		if s.tries(position) > tries[position] {
			t.Errorf("the dead letter at %d was tried again", position)
		}
	}
}

// TestFault14ErrorsAreToldByWhatTheyWrap: the reference compared them.
func TestFault14ErrorsAreToldByWhatTheyWrap(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	wrap := func(err error) error { return fmt.Errorf("while doing it: %w", errors.Join(err, errNot)) }
	var paused atomic.Int64
	s := &script{fails: func(e Event, n int) error {
		switch {
		case e.Stream == "permanent-1":
			return wrap(Permanent(errNot))
		case e.Stream == "invalid-1":
			return wrap(&eventstore.InvalidError{})
		case e.Stream == "throttled-1" && n == 1:
			paused.Store(time.Now().UnixNano())
			return wrap(Throttled(errNot, 100*time.Millisecond))
		case e.Stream == "panic-1":
			panic("at the disco")
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), func(d *Definition) { d.Retry.MaxAttempts = 2 })))
	stop := b.alive()
	defer stop()
	permanent, invalid, panics := b.events("permanent-1", placed{}), b.events("invalid-1", placed{}), b.events("panic-1", placed{})
	throttled := b.events("throttled-1", placed{})
	b.delivers(s, "throttled-1", throttled)
	b.cursors("h", 0, map[string]int{"dead": 3})
	for position, class := range map[int64]string{permanent: "permanent", invalid: "permanent", panics: "exhausted"} {
		if got := read[string](b, `SELECT class FROM {schema}.subscription_parked WHERE position = $1`, position); got != class {
			t.Errorf("the dead letter at %d is %q, want %q", position, got, class)
		}
	}
	if charged := read[int](b, `SELECT charged FROM {schema}.subscription_parked WHERE position = $1`, permanent); charged != 1 {
		t.Errorf("what is permanent was charged %d attempts, want that it died of the first", charged)
	}
}

// TestFault16HistoryIsNotMissed: the reference began at the latest event, wherever that was when it got to it.
func TestFault16HistoryIsNotMissed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.events("order-1", placed{}, placed{})
	all := &script{fails: func(Event, int) error { return nil }}
	end := &script{fails: func(Event, int) error { return nil }}
	subscriptions := declare(from(AtBeginning, HandleRaw("all", all.handle), nil), from(AtEnd, HandleRaw("end", end.handle), nil))
	// The end is fixed when the subscription is made, whoever is there to deliver.
	p := b.newProcess("one", subscriptions)
	if err := p.declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := b.events("order-1", placed{})
	b.start(p)
	b.delivers(all, "", first-1, first, second)
	b.delivers(end, "", second)
}

// TestFault18ATargetThatWorksAgainIsNoticed: the breaker of the reference never closed. An outage parks little, and nothing dies,
// whatever status the target answers.
func TestFault18ATargetThatWorksAgainIsNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var down atomic.Bool
	var calls atomic.Int64
	s := &script{fails: func(Event, int) error {
		calls.Add(1)
		if down.Load() {
			return Permanent(errNot)
		}
		return nil
	}}
	p := b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), nil)))
	b.delivers(s, "", b.events("order-0", placed{}))
	down.Store(true)
	var want []int64
	for i := range 500 {
		want = append(want, b.events(fmt.Sprintf("order-%d", i), placed{}))
	}
	b.eventually(func() error {
		if st := p.Stats(); !st.Subscriptions[0].BreakerOpen {
			return fmt.Errorf("stats = %+v, want the breaker open", st.Subscriptions[0])
		}
		return nil
	})
	if parked := b.rows("h", "waiting") + b.rows("h", "blocked"); parked > 100 {
		t.Errorf("%d rows were parked", parked)
	}
	down.Store(false)
	b.eventually(func() error {
		got := s.delivered("")[1:]
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%d of %d were delivered", len(got), len(want))
		}
		return nil
	})
	b.cursors("h", 0, nil)
}

// TestFault20WhatComesAgainSaysSo: an operator's redrive is marked as one, and goes in the order of its key.
func TestFault20WhatComesAgainSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mended atomic.Bool
	s := &script{fails: func(e Event, n int) error {
		if e.Stream == "order-1" && !mended.Load() {
			return Permanent(errNot)
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), nil)))
	stop := b.alive()
	defer stop()
	bad := b.events("order-1", placed{}, placed{}, placed{}, placed{})
	b.cursors("h", 0, map[string]int{"dead": 4})
	mended.Store(true)
	b.wish(bad-3, "discard")
	b.wish(bad-1, "redrive")
	b.wish(bad-2, "redrive")
	b.wish(bad, "redrive")
	b.eventually(func() error {
		got := s.delivered("order-1")
		slices.Sort(got)
		if !slices.Equal(got, []int64{bad - 2, bad - 1, bad}) {
			return fmt.Errorf("%v were delivered, want all but the first", got)
		}
		return nil
	})
	b.cursors("h", 0, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.done {
		if e.Redrive != (e.Stream == "order-1") {
			t.Errorf("event %d of %s: redrive is %t", e.Position, e.Stream, e.Redrive)
		}
	}
}

// wish wants something done with a row, as an operator does.
func (b *bench) wish(position int64, what string) {
	b.Helper()
	b.exec(`UPDATE {schema}.subscription_parked SET wanted = $2, wanted_by = 'operator' WHERE position = $1`, position, what)
	if err := b.inTx(b.Context(), func(tx tx) error { return b.raise(b.Context(), tx) }); err != nil {
		b.Fatal(err)
	}
}
