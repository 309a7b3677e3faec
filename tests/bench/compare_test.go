package bench

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/57528e99/recount/internal/pgtest"
)

var compareNames = []string{nameRecount, nameCounterRow, nameUnordered}

func smallComparison() Compare {
	return Compare{Callers: []int{1, 3}, Duration: moment, Batch: 3, Events: 50, Tail: 5 * moment}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	r, err := Run(t.Context(), Options{Database: db.DSN}, smallComparison())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{ // how many events a call has, 0 for the reader
		"append 1 event to a new stream": 1, "append 3 events to a new stream": 3, "load a stream of 10 events": 10, "read all 50 events": 50, "follow 16 writers": 0,
	}
	for _, part := range r.parts() {
		events, asked := want[part.question()]
		delete(want, part.question())
		if got := slices.Compact(slices.Sorted(slices.Values(names(part)))); !asked || !slices.Equal(got, slices.Sorted(slices.Values(compareNames))) {
			t.Errorf("%q is a question to %v", part.question(), got)
		}
		for _, res := range part.Results {
			switch d := res.Delivery; {
			case events > 0 && (res.Events != res.Calls*int64(events) || res.P50 <= 0 || d != nil):
				t.Errorf("%s: result %+v, want %d events a call", part.question(), res, events)
			case events == 0 && (d == nil || d.Committed != res.Events+1 || d.Committed == 0 || d.Twice > 0):
				t.Errorf("%s: delivery %+v of %d events", part.question(), d, res.Events)
			case events == 0 && res.Name != nameUnordered && d.Missed > 0:
				t.Errorf("%s: a reader of %s missed %d events", part.question(), res.Name, d.Missed)
			}
		}
	}
	for question := range maps.Keys(want) {
		t.Errorf("there is no answer to %q", question)
	}
	if r.Ratios["append 3 events to a new stream: recount/unordered@16"] == 0 || r.Ratios["load a stream of 10 events: p50 recount/counter-row@8"] == 0 {
		t.Errorf("ratios are %v", r.Ratios)
	}
}

// A reader that follows positions of a sequence passes by an event whose position was taken first
// and committed last. It is the reader of the measurement that must notice.
func TestEventsThatAReaderMissedAreCounted(t *testing.T) {
	t.Parallel()
	env := &Env{dsn: pgtest.NewEmpty(t).DSN}
	err := env.with(t.Context(), 4, func(s *scratch) error {
		store, err := newBaseStore(t.Context(), s, nameUnordered)
		if err != nil {
			return err
		}
		late, err := s.pool.Begin(t.Context())
		if err != nil {
			return err
		}
		defer func() { _ = late.Rollback(context.WithoutCancel(t.Context())) }() // only if the test has failed
		if _, err := late.Exec(t.Context(), store.insertRow(`SELECT nextval('`+store.sequence()+`')`), 1, 0, newID(), payload); err != nil {
			return err
		}
		if err := store.Append(t.Context(), 2, 1); err != nil {
			return err
		}
		following, stop := context.WithCancel(t.Context())
		defer stop()
		var got audience
		ended := make(chan error, 1)
		go func() {
			ended <- store.Tail(following, func(stream int64) {
				got.deliver(stream)
				if stream == 2 { // it is past the first one, which may come now
					if err := late.Commit(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
					}
				} else {
					stop() // at stream 3, or at a stream 1 that ought not to come
				}
			})
		}()
		if err := got.await(t.Context(), 2, ended); err != nil {
			return err
		}
		if err := store.Append(t.Context(), 3, 1); err != nil {
			return err
		}
		if err := <-ended; err != nil {
			return err
		}
		if d := got.count(3); d != (Delivery{Committed: 3, Missed: 1}) {
			t.Errorf("the reader got %v, which counts as %+v, want 1 of 3 missed", got.times, d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDeliveriesAreCounted(t *testing.T) {
	t.Parallel()
	var a audience
	for _, stream := range []int64{1, 2, 2, 5, 5, 5} {
		a.deliver(stream)
	}
	if got, want := a.count(5), (Delivery{Committed: 5, Missed: 2, Twice: 2}); got != want {
		t.Errorf("count = %+v, want %+v", got, want)
	}
	ended := make(chan error, 1)
	ended <- errors.New("it broke")
	if err := a.await(t.Context(), 4, ended); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("await with a reader that ended = %v", err)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	c := smallComparison()
	c.Callers = []int{maxPool}
	c.Peers = make([]Peer, 1000)
	_, err := Run(t.Context(), Options{Database: pgtest.NewEmpty(t).DSN}, c)
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "max_connections") {
		t.Errorf("Run with a thousand peers = %v", err)
	}
}

func TestAddressOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://me:pw@host:5432/old?sslmode=disable": "postgres://me:pw@host:5432/new?sslmode=disable",
		"postgres:///old?host=/tmp":                      "postgres:///new?host=/tmp",
		"host=/tmp dbname=old":                           "host=/tmp dbname=old dbname=new",
	} {
		if got, err := inDatabase(dsn, "new"); err != nil || got != want {
			t.Errorf("inDatabase(%q) = %q, %v; want %q", dsn, got, err, want)
		}
	}
}
