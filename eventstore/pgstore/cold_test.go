package pgstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// The appender takes a stream that must not exist for new. Without events
// nothing in the database would contradict it.
func TestAppendOfNoEventsIsJudgedByStreamsThatWereForgotten(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db, func(c *pgstore.Config) { c.CacheStreams = 1 })
	for _, stream := range []string{"forgotten-1", "other-1", "other-2"} {
		mustAppend(t, s, happened(stream, 0))
	}
	_, err := s.Append(t.Context(), eventstore.StreamAppend{Stream: "forgotten-1", Expected: eventstore.NoStream},
		eventstore.AppendOptions{Receipt: &eventstore.Receipt{Scope: "test", Key: "1"}})
	if !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("append of no events to a stream that exists, expecting none: %v, want a conflict", err)
	}
}

// The database refuses the id, and its answer must be brought to the right
// stream.
func TestReusedIDIsNamedWhereverItIs(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	used := happened("used-1", 0)
	used.Events[0].ID = uuid.New()
	mustAppend(t, s, used)
	used.Expected = eventstore.Exact(0)
	fresh := happened("fresh-1", 0)
	fresh.Events[0].ID = uuid.New()
	for _, first := range []eventstore.StreamAppend{{Stream: "empty-1", Expected: eventstore.Any}, fresh} {
		_, err := s.AppendStreams(t.Context(), []eventstore.StreamAppend{first, used},
			eventstore.AppendOptions{Receipt: &eventstore.Receipt{Scope: "test", Key: "1"}})
		var reused *eventstore.IDReusedError
		if !errors.As(err, &reused) || reused.Stream != "used-1" || reused.ID != used.Events[0].ID {
			t.Errorf("append beside %q: %v, want an error about the id in used-1", first.Stream, err)
		}
	}
}

// The time that an append takes must grow with its size, not with its square:
// everybody else waits.
func TestManyIDsForOneStream(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	mustAppend(t, s, happened("hot-1", 0))
	appends := make([]eventstore.StreamAppend, 10_000)
	for n := range appends {
		appends[n] = happened("hot-1", n)
		appends[n].Events[0].ID = uuid.New()
	}
	for _, duplicate := range []bool{false, true} {
		start := time.Now()
		results, err := s.AppendStreams(t.Context(), appends, eventstore.AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d appends with duplicate %t took %s", len(appends), duplicate, time.Since(start))
		for n, r := range results {
			if r.Version != int64(n+1) || r.Duplicate != duplicate {
				t.Fatalf("result %d = %+v, want version %d and duplicate %t", n, r, n+1, duplicate)
			}
		}
	}
}

// Events without data take memory too.
func TestQueueIsBoundedForEmptyEvents(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db, func(c *pgstore.Config) { c.QueueBytes = 1 << 20 })
	release := lockLog(t, db)
	many := eventstore.StreamAppend{Stream: "many-1", Expected: eventstore.Any, Events: make([]eventstore.Event, 5000)}
	for i := range many.Events {
		many.Events[i].Type = "Happened"
	}
	errs := make(chan error, 3)
	send := func() {
		_, err := s.Append(t.Context(), many, eventstore.AppendOptions{})
		errs <- err
	}
	go send()
	waitForLock(t, db)
	go send()
	go send()
	if err := <-errs; !errors.Is(err, eventstore.ErrOverloaded) {
		t.Errorf("third append of 5000 events: %v, want a full queue", err)
	}
	release()
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
