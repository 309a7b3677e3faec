package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/operations"
)

// TestAnUnreachableDatabaseIsNoFailure cuts all connections of a runner, again and again.
func TestAnUnreachableDatabaseIsNoFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newAccounts(1)
	b.start(b.runner(f))
	var end eventstore.Token
	for range 20 {
		for range 10 {
			end = b.append("account-1", deposited{Amount: 1, Note: "n"})
		}
		b.cutConnections()
	}
	s := b.reaches("accounts", operations.Running, end.Position)
	if got := b.rows(f, s.Table)["1"]; got.Balance != 200 || len(got.Notes) != 200 {
		t.Errorf("the balance is %d with %d notes, want 200 of both", got.Balance, len(got.Notes))
	}
}

// TestALockedTableIsTroubleNotFailure locks the table for longer than a write waits.
func TestALockedTableIsTroubleNotFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", eventstore.Token{})
	tx, err := b.pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(context.Background(), tx)
	if _, err := tx.Exec(t.Context(), `LOCK TABLE recount.accounts_g1 IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	end := b.append("account-1", deposited{Amount: 1})
	s := b.reaches("accounts", operations.Retrying, 0)
	if !strings.Contains(s.Trouble.Error, "timeout") && !strings.Contains(s.Trouble.Error, "deadline") {
		t.Errorf("the trouble is %q, want that it took too long", s.Trouble.Error)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := b.reaches("accounts", operations.Running, end.Position); s.Trouble != nil {
		t.Errorf("afterwards the trouble is %v, want none", s.Trouble)
	}
}

func TestTroubleOfLongAgoIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", eventstore.Token{})
	_, err := b.pool().Exec(t.Context(), `
		UPDATE recount.projection_generations SET trouble = 'it rained', trouble_at = clock_timestamp() - interval '1 minute'`)
	if err != nil {
		t.Fatal(err)
	}
	b.reaches("accounts", operations.Running, 0)
}

// leased returns the worker of a projection that nobody runs, and the lease to write its rows by
// hand.
func (b *bench) leased() (*worker, *generationLease) {
	b.Helper()
	r := b.start(b.runner(newAccounts(1)))
	b.stop(r)
	l, err := r.catalog.acquire(b.Context(), r.workers[0].generation, true, "test", time.Minute, 0, keptChanges{})
	if err != nil {
		b.Fatal(err)
	}
	return r.workers[0], l
}

// A page without events for the projection moves its checkpoint only. That the database refuses
// this, because its tables are away, is no event's fault.
func TestARefusedCheckpointBlamesNoEvent(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	w, l := b.leased()
	to := b.append("account-1", opened{})
	if _, err := b.pool().Exec(t.Context(), `ALTER SCHEMA recount RENAME TO hidden`); err != nil {
		t.Fatal(err)
	}
	var at *eventError
	if err := w.apply(t.Context(), l, nil, to); !isDataError(err) || errors.As(err, &at) {
		t.Errorf("apply without events = %v, want a refusal that blames no event", err)
	}
}

// TestARefusedCheckpointBlamesNoEventThatPasses is the same with events, which are not refused.
func TestARefusedCheckpointBlamesNoEventThatPasses(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	w, l := b.leased()
	to := b.append("account-1", opened{}, deposited{Amount: 1})
	if _, err := b.pool().Exec(t.Context(), `ALTER TABLE recount.projection_generations RENAME digest TO hidden`); err != nil {
		t.Fatal(err)
	}
	var at *eventError
	if err := w.apply(t.Context(), l, b.events(), to); !isDataError(err) || errors.As(err, &at) {
		t.Errorf("apply = %v, want a refusal that blames no event", err)
	}
}

// A checkpoint that moves over events of others has no event to blame when it is refused.
func TestARefusedCheckpointIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newBatchAccounts(prepareBalances)))
	b.arrives(r, "batch_accounts", b.append("account-1", deposited{Amount: 1}))
	rename := func(from, to string) {
		if _, err := b.pool().Exec(t.Context(), `ALTER FUNCTION recount.`+from+`() RENAME TO `+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("lease_lost", "gone")
	last := b.append("account-1", opened{})
	b.reaches("batch_accounts", operations.Retrying, 1)
	rename("gone", "lease_lost")
	b.arrives(r, "batch_accounts", last)
}

// TestABackupInPlaceOfTheDatabaseIsNoFailure: a process that has come further than the rows, which
// are those of an older copy now, is told that the log has changed. The rows are fine.
func TestABackupInPlaceOfTheDatabaseIsNoFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", b.append("account-1", deposited{Amount: 1}, deposited{Amount: 2}))
	b.stop(r)
	c := r.catalog
	g, err := c.serving(b.Context(), b.pool(), newAccounts(1), r.workers[0].runs)
	if err != nil {
		b.Fatal(err)
	}
	l, err := c.acquire(b.Context(), g, true, "owner", time.Minute, 0, keptChanges{})
	if err != nil {
		b.Fatal(err)
	}
	beyond := *l
	beyond.checkpoint.Token.Position += 7
	changed := &eventstore.LogChangedError{Token: beyond.checkpoint.Token, LastCommon: 2}
	if err := beyond.fail(b.Context(), b.pool(), changed); !errors.Is(err, lease.ErrLost) {
		t.Errorf("fail by a process that is further than the rows = %v, want lease.ErrLost", err)
	}
	if s := b.status("accounts"); s.Failure != nil {
		t.Errorf("the projection has failed: %v", s.Failure.Error)
	}
	if err := l.fail(b.Context(), b.pool(), changed); err != nil {
		t.Errorf("fail by the process that left the rows there = %v", err)
	}
	if s := b.status("accounts"); s.Failure == nil {
		t.Error("the projection has not failed")
	}
}

// TestAnOperationSaysWhatKeepsItFromGoingOn: a rebuild cannot write for longer than its statements
// wait for a lock. It names that while it tries again, and no more once it is done.
func TestAnOperationSaysWhatKeepsItFromGoingOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", b.fill(5))
	tx, err := b.pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(context.Background(), tx)
	if _, err := tx.Exec(t.Context(), `LOCK TABLE recount.projection_buckets IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	op, err := b.admin.Request(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts"})
	if err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error {
		if op, err = b.admin.Operation(t.Context(), op.ID); err == nil && op.Trouble == nil {
			err = fmt.Errorf("the operation is %+v, want it in trouble", op)
		}
		return err
	})
	if op.State != operations.Running || !strings.Contains(op.Trouble.Error, "lock timeout") {
		t.Errorf("the operation is %s with trouble %q, want it running with the lock timeout", op.State, op.Trouble.Error)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error { return b.ended(op.ID.String()) })
	if op, err = b.admin.Operation(t.Context(), op.ID); err != nil || op.Trouble != nil {
		t.Errorf("the operation that is done = %+v, %v, want no trouble", op, err)
	}
}
