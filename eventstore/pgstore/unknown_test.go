package pgstore_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/tests/pgproxy"
)

// A client that retries elsewhere may put its event at the very position that
// the lost append had chosen for it. What went with it is not there.
func TestRetryElsewhereIsNotTakenForTheLostAppend(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	beside := open(t, db)
	retried := happened("retried-1", 1)
	retried.Events[0].ID = uuid.New()
	var armed atomic.Bool
	// The other process appends when the COMMIT of the first is on its way, and
	// the first never arrives.
	elsewhere := func() pgproxy.Fault {
		if !armed.CompareAndSwap(true, false) {
			return pgproxy.None
		}
		_, err := beside.AppendStreams(t.Context(), []eventstore.StreamAppend{happened("other-1", 0), retried}, eventstore.AppendOptions{})
		if err != nil {
			t.Error(err)
		}
		return pgproxy.CutBefore
	}
	_, pool := throughProxy(t, db, elsewhere)
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
	mustAppend(t, s, happened("first-1", 0))
	armed.Store(true)
	_, err := s.AppendStreams(t.Context(), []eventstore.StreamAppend{happened("lost-1", 2), retried}, eventstore.AppendOptions{})
	if !errors.Is(err, eventstore.ErrIDReused) {
		t.Errorf("append whose one half was written elsewhere: %v, want ErrIDReused", err)
	}
	if got := numbers(t, s); len(got) != 3 {
		t.Errorf("log = %q, want the first event and the other process's two", got)
	}
}

// After an unknown outcome a bad append must still be told from its neighbours,
// at once.
func TestRefusalAfterALostConnectionHitsTheRightAppend(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var f faults
	_, pool := throughProxy(t, db, f.choose)
	s := open(t, db, func(c *pgstore.Config) { c.Pool, c.SettleTimeout = pool, 5*time.Second })
	used := happened("used-1", 0)
	used.Events[0].ID = uuid.New()
	mustAppend(t, s, used)
	mustAppend(t, s, happened("used-1", 1))
	used.Expected = eventstore.Exact(1)
	f.plant(pgproxy.CutBefore)
	if _, err := s.Append(t.Context(), used, eventstore.AppendOptions{}); !errors.Is(err, eventstore.ErrIDReused) {
		t.Errorf("append of a used id over a lost connection: %v, want ErrIDReused", err)
	}
	if got := numbers(t, s); len(got) != 2 {
		t.Errorf("log = %q, want two events", got)
	}
}
