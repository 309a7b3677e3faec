package projections

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/operations"
)

// inAnotherLog returns a bench whose projection has rows of a log of 60 events, and then finds one
// of 15.
func inAnotherLog(t *testing.T, f *Fold[string, account]) (b *bench, r *Runner, end eventstore.Token) {
	t.Helper()
	b = newUnjudged(t) // it is the first log that would be judged
	before, _ := b.startFilled(f, 20)
	b.stop(before)
	b.store = memstore.New(memstore.Config{})
	b.admin = NewAdmin(b.pool(), b.db.Schema, b.store)
	end = b.fill(5)
	r = b.start(b.runner(f))
	b.reaches("accounts", operations.Failed, 0)
	return b, r, end
}

// TestRowsOfAnotherLogAreRebuilt as the hint of that failure says. Positions of the one log say
// nothing about the other: rows of this one need not come as far, and must not pretend to.
func TestRowsOfAnotherLogAreRebuilt(t *testing.T) {
	t.Parallel()
	f := newAccounts(1)
	b, r, end := inAnotherLog(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// At this position there is another event now.
	b.exec(`INSERT INTO recount.projection_skips (projection, generation, position, event_id, event_type, failure, reason, actor)
		VALUES ('accounts', 1, 2, gen_random_uuid(), 'Deposited', 'bad', 'a test', 'test')`)
	if _, err := r.Run(ctx, operations.Request{Kind: Rebuild, Subject: "accounts", Actor: "test"}, nil); err != nil {
		t.Fatal(err)
	}
	if s := b.serving("accounts"); s.Position != end.Position {
		t.Errorf("the new rows are at position %d, want %d, the end of the log", s.Position, end.Position)
	}
	b.arrives(r, "accounts", b.append("account-1", deposited{Amount: 1}))
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}

// TestARollbackToRowsOfAnotherLogIsRefused although they are as far, by their positions, as those
// shown.
func TestARollbackToRowsOfAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	f := newAccounts(1)
	b, r, _ := inAnotherLog(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	now, err := r.Run(ctx, operations.Request{Kind: Rebuild, Subject: "accounts", Actor: "test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Run(ctx, operations.Request{Kind: Rollback, Subject: "accounts", Actor: "test"}, nil)
	var failed *operations.EndedError
	if !errors.As(err, &failed) || failed.Operation.Reason != ReasonLogChanged {
		t.Errorf("Run = %v, want *operations.EndedError for the reason %q", err, ReasonLogChanged)
	}
	if s := b.serving("accounts"); s.Generation != now.Generation {
		t.Errorf("generation %d is shown, want %d, which is of this log", s.Generation, now.Generation)
	}
}

// TestRowsOfAnotherLogGiveWayToANewVersion, which need not come as far as they are.
func TestRowsOfAnotherLogGiveWayToANewVersion(t *testing.T) {
	t.Parallel()
	b, _, end := inAnotherLog(t, newAccounts(1))
	r := b.start(b.leasing(3*time.Second, newAccounts(2)))
	b.arrives(r, "accounts", end)
	b.eventually(func() error { return b.shows("accounts", 2) })
}
