package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/tests/pgproxy"
)

// Clients of two processes decide from what they read and contend for the same
// versions, while connections of one process are lost at COMMIT. What all of them
// and a subscriber were told must be the history of one log.
func TestContendingClientsSeeOneLog(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var commits atomic.Int64
	_, pool := throughProxy(t, db, func() pgproxy.Fault {
		return [...]pgproxy.Fault{pgproxy.None, pgproxy.CutBefore, pgproxy.None, pgproxy.CutAfter, pgproxy.None}[commits.Add(1)%5]
	})
	stores := []*pgstore.Store{open(t, db), open(t, db, func(c *pgstore.Config) { c.Pool = pool })}
	var r logcheck.Recorder
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader := make(chan error, 1)
	var head atomic.Int64 // where the reader may stop, once it is known
	head.Store(1 << 62)
	go func() { reader <- follow(ctx, &r, stores[0], &head) }()
	const each = 30
	var clients errgroup.Group
	for client := range 8 {
		clients.Go(func() error {
			for n := range each {
				if err := contend(t, &r, fmt.Sprint("client ", client), stores[client%2], fmt.Sprint("hot-", n%2)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}
	at, err := stores[0].Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head.Store(at.Position)
	last := happened("end-1", 0)
	last.Events[0].ID = uuid.New()
	if err := recorded(t, &r, "end", stores[0], last); err != nil {
		t.Fatal(err)
	}
	if err := <-reader; err != nil {
		t.Error(err)
	}
	judge(t, &r, db)
	acked := 0
	for _, a := range r.History().Appends {
		if a.Outcome == logcheck.Acked {
			acked++
		}
	}
	if acked < 2*each {
		t.Errorf("%d appends were acknowledged, want %d or more", acked, 2*each)
	}
}

// contend reads a stream and appends behind what it saw, until it knows whether
// that came true.
func contend(t *testing.T, r *logcheck.Recorder, client string, s *pgstore.Store, stream string) error {
	read := logcheck.ReadOf(client, stream)
	var seen []eventstore.RecordedEvent
	for e, err := range s.ReadStream(t.Context(), stream, eventstore.ReadOptions{}) {
		if err != nil && !errors.Is(err, eventstore.ErrStreamNotFound) {
			return err
		}
		if err == nil {
			seen = append(seen, e)
		}
	}
	read = read.Saw(seen...)
	r.Read(read)
	a := happened(stream, 0)
	a.Expected, a.Events[0].ID = eventstore.Exact(read.Version), uuid.New()
	for {
		err := recorded(t, r, client, s, a)
		switch {
		case err == nil, errors.Is(err, eventstore.ErrConflict):
			return nil
		case !errors.Is(err, eventstore.ErrOutcomeUnknown) && !errors.Is(err, eventstore.ErrUnavailable):
			return err
		}
	}
}

// follow records what a subscription yields until it has gone beyond a position.
func follow(ctx context.Context, r *logcheck.Recorder, s *pgstore.Store, end *atomic.Int64) error {
	from := int64(1)
	for b, err := range s.Subscribe(ctx, eventstore.ReadOptions{}) {
		if err != nil {
			return err
		}
		r.Batch(logcheck.BatchOf("reader", 1, from, b))
		if from = b.Next; from > end.Load()+1 {
			return nil
		}
	}
	return nil
}
