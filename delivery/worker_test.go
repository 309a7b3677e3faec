package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// A worker handles each event, gives back what failed, makes a dead letter of what is permanent, and keeps what takes long.
func TestAWorkerHandlesEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("jobs", `{"retry":{"first":"10ms","cap":"10ms"},`+toPull+`}`)
	for i := range 6 {
		b.append(fmt.Sprintf("k-%d", i))
	}
	var mu sync.Mutex
	var handled []int64
	long := make(chan struct{})
	broker := b.broker()
	w, err := NewWorker(WorkerConfig{Source: broker, Subscription: "jobs", Concurrency: 4, Lease: 30 * time.Second, Wait: 100 * time.Millisecond,
		Handle: func(ctx context.Context, e Event) error {
			mu.Lock()
			handled = append(handled, e.Position)
			mu.Unlock()
			switch {
			case e.Position == 2 && e.Attempt == 1:
				return errors.New("not now")
			case e.Position == 3:
				return Permanent(errors.New("poison"))
			case e.Position == 4 && e.Attempt == 1:
				panic("oh")
			case e.Position == 5:
				<-long // longer than its lease
			}
			return ctx.Err()
		}})
	if err != nil {
		t.Fatal(err)
	}
	w.every = 10 * time.Millisecond
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := func(n int64) func() error {
		return func() error {
			if s := b.status("jobs"); s.Parked+int64(s.InFlight) != n || s.Dead != 1 {
				return fmt.Errorf("%d are left, %d dead; want %d and 1", s.Parked+int64(s.InFlight), s.Dead, n)
			}
			return nil
		}
	}
	b.eventually(left(1))
	extended := read[time.Time](b, `SELECT leased_at + interval '30.1 s' FROM {schema}.subscription_parked WHERE position = 5`)
	b.eventually(func() error {
		if until := read[time.Time](b, `SELECT next_attempt_at FROM {schema}.subscription_parked WHERE position = 5`); until.Before(extended) {
			return fmt.Errorf("its lease ends at %v still", until)
		}
		return nil
	})
	close(long)
	b.eventually(left(0))
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(handled)
	if want := []int64{1, 2, 2, 3, 4, 4, 5, 6}; !slices.Equal(handled, want) {
		t.Errorf("handled %v, want %v", handled, want)
	}
}

// Nobody is to blame when all consumers are down, however often leases run out: see mutant expiry-charged.
func TestConsumersThatAreAllDownKillNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.catches("consumers that are all down make no dead letters")
	b.mustPut("jobs", `{"retry":{"max_attempts":2},`+toPull+`}`)
	b.append("a-1")
	b.append("b-1")
	broker := b.broker()
	expire := func() {
		b.exec(`UPDATE {schema}.subscription_parked SET next_attempt_at = now() WHERE state = 'leased'`)
	}
	for attempt := 1; attempt <= 4; attempt++ {
		for _, p := range b.pulled(broker, 2, PullOptions{}) {
			if p.Event.Attempt != attempt {
				t.Fatalf("attempt %d of event %d, want %d", p.Event.Attempt, p.Event.Position, attempt)
			}
		}
		expire()
		b.eventually(func() error {
			if s := b.status("jobs"); s.InFlight != 0 {
				return fmt.Errorf("%d leases have not run out", s.InFlight)
			}
			return nil
		})
		if s := b.status("jobs"); s.Dead != 0 {
			t.Fatalf("%d dead letters", s.Dead)
		}
	}
	// One that nobody acknowledges while others are is to blame.
	for range 2 {
		events := b.pulled(broker, 2, PullOptions{})
		i := slices.IndexFunc(events, func(p Pulled) bool { return p.Event.Stream == "a-1" })
		b.settled(TokenSettled)(broker.Ack(t.Context(), "jobs", events[1-i].Token))
		b.append("b-1")
		expire()
	}
	b.eventually(func() error {
		letters, _, err := b.admin().Dead(t.Context(), "jobs", DeadQuery{})
		if err != nil || len(letters) != 1 || letters[0].Stream != "a-1" || letters[0].Class != "exhausted" {
			return fmt.Errorf("dead letters %+v, %v", letters, err)
		}
		return nil
	})
}
