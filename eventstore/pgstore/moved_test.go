package pgstore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// Where an address begins to lead to another database, sessions that were there
// stay with the one before, and new ones are with the other: what those say of
// ids must not be written by these.
func TestALogAtTheAddressOfAnotherLendsItNoIDs(t *testing.T) {
	t.Parallel()
	before, after := newLog(t), newLog(t)
	var switched atomic.Bool
	pool := before.NewPool(t, func(c *pgxpool.Config) {
		c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			if switched.Load() {
				c.Database = after.Pool.Config().ConnConfig.Database
			}
			return nil
		}
	})
	s := open(t, before, func(c *pgstore.Config) { c.Pool = pool })
	mustAppend(t, s, happened("before-1", 0))
	begin := func() pgx.Tx {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	unread, read := begin(), begin()

	other := happened("after-1", 0)
	other.Events[0].Type = "Other"
	there := open(t, after)
	mustAppend(t, there, other)
	mustAppend(t, there, happened("after-1", 1))
	switched.Store(true)
	pool.Reset()

	refused := func(way string, err error) {
		t.Helper()
		if !errors.Is(err, pgstore.ErrReplaced) {
			t.Errorf("%s = %v, want ErrReplaced", way, err)
		}
	}
	named := happened("before-1", 1)
	named.Events[0].Type = "New"
	_, err := s.AppendCommit(t.Context(), unread, []eventstore.StreamAppend{named}, eventstore.AppendOptions{})
	refused("AppendCommit of a new type, in a transaction of before", err)
	if err := drain(s, t, eventstore.ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.AppendCommit(t.Context(), read, []eventstore.StreamAppend{happened("before-1", 1)}, eventstore.AppendOptions{})
	refused("AppendCommit in a transaction of before", err)
	_, err = s.Append(t.Context(), happened("before-1", 2), eventstore.AppendOptions{})
	refused("Append on a connection of before", err)
	for e, err := range open(t, before).ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil || e.Type != "Happened" {
			t.Errorf("event %d of the log of before = %q, %v", e.Position, e.Type, err)
		}
	}
}

// No event tells one empty log from another.
func TestNewTablesAreNotTakenForAnEmptyLog(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	conflicting := happened("a-1", 0)
	conflicting.Expected = eventstore.Exact(7)
	if _, err := s.Append(t.Context(), conflicting, eventstore.AppendOptions{}); !errors.Is(err, eventstore.ErrConflict) {
		t.Fatalf("Append = %v, want ErrConflict", err)
	}
	replaceTables(t, db)
	if _, err := s.Append(t.Context(), happened("a-1", 0), eventstore.AppendOptions{}); !errors.Is(err, pgstore.ErrReplaced) {
		t.Errorf("Append = %v, want ErrReplaced", err)
	}
}

// The first life of every log is the first incarnation.
func TestASubscriptionDoesNotGoOnInAnotherLog(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	mustAppend(t, s, happened("before-1", 0))
	deliveries, goOn := subscribe(t, s, eventstore.ReadOptions{})
	if d := <-deliveries; d.err != nil || d.batch.Next != 2 {
		t.Fatalf("subscription got %+v, want the first event", d)
	}
	close(goOn)
	replaceTables(t, db)
	other := open(t, db)
	for n := range 3 {
		mustAppend(t, other, happened("after-1", n))
	}
	var changed *eventstore.LogChangedError
	if d := <-deliveries; !errors.As(d.err, &changed) || changed.LastCommon != -1 {
		t.Errorf("subscription got %+v of the other log, want an error that says so", d)
	}
}
