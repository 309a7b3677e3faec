package projections

import (
	"context"
	"iter"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// readerBetween is a store that calls something when it has been read to the end for the first
// time, and something before each further time.
type readerBetween struct {
	eventstore.Store
	reads         int
	after, before func()
}

func (s *readerBetween) ReadAll(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		if s.reads++; s.reads > 1 {
			s.before()
		}
		for e, err := range s.Store.ReadAll(ctx, o) {
			if !yield(e, err) {
				return
			}
		}
		if s.reads == 1 {
			s.after()
		}
	}
}

// TestARepairComesNearFirst: what was appended while it read a long log is not read while the
// projection waits, or whoever runs that would take its lease back before the end.
func TestARepairComesNearFirst(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	live, _ := b.startFilled(f, 5)
	var more []any
	for range repairGap + 1 {
		more = append(more, opened{Owner: ptr("ann")})
	}
	epoch := func() (n int64) {
		err := b.pool().QueryRow(t.Context(), `SELECT epoch FROM recount.projection_generations`).Scan(&n)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	begun, seen := epoch(), int64(0)
	log := b.store
	between := &readerBetween{Store: log,
		after:  func() { b.arrives(live, "accounts", b.append("account-1", more...)) },
		before: func() { seen = max(seen, epoch()) },
	}
	b.store = between
	other := b.runner(f)
	b.store = log
	op, err := other.Run(t.Context(), operations.Request{Kind: Repair, Subject: "accounts", Options: operations.Options{Key: "1"}, Actor: "test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if between.reads != 2 || seen != begun {
		t.Errorf("it read %d times, the projection was held at epoch %d, want 2 and %d, as it was: %s", between.reads, seen, begun, op.Result)
	}
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}
