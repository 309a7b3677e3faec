package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
)

// hookedReader calls before at the end of each read of the log.
type hookedReader struct {
	eventstore.Reader
	before func()
}

func (h *hookedReader) ReadAll(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range h.Reader.ReadAll(ctx, o) {
			if !yield(e, err) {
				return
			}
		}
		h.before()
	}
}

// TestARequestIsDoneByWhoRunsTheProjection: that is how the API does it.
func TestARequestIsDoneByWhoRunsTheProjection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1), newSQLAccounts()))
	b.arrives(r, "accounts", b.fill(20))
	for _, name := range []string{"accounts", "sql_accounts"} {
		op, err := b.admin.Request(t.Context(), operations.Request{Kind: Rebuild, Subject: name, Actor: "test"})
		if err != nil || op.Kind != Rebuild || op.Subject != name || op.ID == uuid.Nil {
			t.Fatalf("Request = %+v, %v, want a rebuild of %s", op, err, name)
		}
		b.eventually(func() error {
			op, err = b.admin.Operation(t.Context(), op.ID)
			if err == nil && op.State != operations.Done {
				err = fmt.Errorf("the operation is %+v", op)
			}
			return err
		})
		if s := b.serving(name); s.Generation != 2 {
			t.Errorf("%s: generation %d is shown, want 2", name, s.Generation)
		}
	}
	for _, c := range []struct {
		request operations.Request
		want    error
	}{
		{operations.Request{Kind: Rebuild, Subject: "nothing"}, ErrNotFound},
		{operations.Request{Kind: Rebuild, Subject: "accounts", Options: operations.Options{Workers: -1}}, operations.ErrInvalid},
		{operations.Request{Kind: Repair, Subject: "accounts"}, operations.ErrInvalid},
	} {
		if _, err := b.admin.Request(t.Context(), c.request); !errors.Is(err, c.want) {
			t.Errorf("Request(%+v) = %v, want %v", c.request, err, c.want)
		}
	}
	if _, err := b.admin.Operation(t.Context(), uuid.New()); !errors.Is(err, operations.ErrNotFound) {
		t.Errorf("Operation of no id: %v, want operations.ErrNotFound", err)
	}
}

// TestALongLogIsBuiltInBulk: a version that finds a log of some length is built by a rebuild, while
// the program with the version before goes on; an event that cannot be applied can be skipped.
func TestALongLogIsBuiltInBulk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.start(b.runner(newTotals("accounts")))
	b.fill(20)
	b.append("account-1", deposited{Note: "refuse"})
	end := b.append("account-1", deposited{Amount: 5})
	b.arrives(first, "accounts", end)
	c := b.config()
	c.BulkFrom = 10
	f := newAccounts(2)
	r, err := NewRunner(c, f)
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop(r)
	b.start(r)
	s := b.reaches("accounts", operations.Failed, 0)
	if s.Failure.Position != end.Position-1 || s.Position != end.Position-2 {
		t.Errorf("it stopped with %+v at %d, want the event at %d and all before it applied", s.Failure, s.Position, end.Position-1)
	}
	if _, err := b.admin.Skip(t.Context(), "accounts", s.Failure.Position, "a test", "test"); err != nil {
		t.Fatal(err)
	}
	b.reaches("accounts", operations.Running, end.Position)
	b.eventually(func() error { return b.shows("accounts", 2) })
	b.arrives(first, "accounts", b.append("account-2", deposited{Amount: 1}))
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
	ops, err := b.admin.Operations(t.Context(), "accounts")
	if err != nil || len(ops) != 1 || ops[0].State != operations.Failed {
		t.Errorf("Operations = %+v, %v, want one that failed, since what it had built is gone on with", ops, err)
	}
}

// TestAChangedFoldWaitsForTheCommand if it is configured so.
func TestAChangedFoldWaitsForTheCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.stop(b.start(b.runner(newTotals("accounts"))))
	end := b.fill(5)
	c := b.config()
	c.BuildOnCommand = true
	r, err := NewRunner(c, newAccounts(2))
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop(r)
	b.start(r)
	if all, err := b.admin.Show(t.Context(), "accounts"); err != nil || len(all) != 1 {
		t.Errorf("before the command Show = %+v, %v, want the old generation only", all, err)
	}
	for _, kind := range []operations.Kind{Verify, Repair} {
		_, err := r.Run(t.Context(), operations.Request{Kind: kind, Subject: "accounts", Options: operations.Options{Key: "1"}}, nil)
		var ended *operations.EndedError
		if !errors.As(err, &ended) || ended.Operation.Reason == "" {
			t.Errorf("before the command a %s ended with %v, want *operations.EndedError with a reason", kind, err)
		}
	}
	b.rebuild(r, "accounts", operations.Options{})
	b.arrives(r, "accounts", end)
	b.eventually(func() error { return b.shows("accounts", 2) })
}

// TestReadsGoOnDuringSwitches reads by way of the generation that serves and by the view while
// rebuilds follow one another and drop what they replace: no read fails or goes back in time.
func TestReadsGoOnDuringSwitches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newTotals("totals")
	r := b.start(b.runner(f))
	const streams = 30
	for i := range streams {
		b.append(fmt.Sprintf("account-%d", i), deposited{Amount: 1})
	}
	b.arrives(r, "totals", b.append("account-0", deposited{Amount: 0}))
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan error)
	go func() {
		read <- b.readOn(ctx, streams)
	}()
	keep := 0
	for round := range 8 {
		b.rebuild(r, "totals", operations.Options{Keep: &keep})
		b.append("account-1", deposited{Amount: int64(round)})
	}
	cancel()
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// readOn reads until ctx is done. The sum never falls and all rows are always there.
func (b *bench) readOn(ctx context.Context, rows int) error {
	var last int64
	for ctx.Err() == nil {
		var n int
		var sum int64
		err := b.pool().QueryRow(context.WithoutCancel(ctx), `SELECT count(*), sum(balance) FROM recount.totals`).Scan(&n, &sum)
		if err != nil || n != rows || sum < last {
			return fmt.Errorf("the view has %d rows with a sum of %d (%v), want %d and at least %d", n, sum, err, rows, last)
		}
		last = sum
		var batch pgx.Batch
		var s Serving
		QueueServing(&batch, b.db.Schema, "totals", 1, &s)
		if err := b.pool().SendBatch(context.WithoutCancel(ctx), &batch).Close(); err != nil || s.Checkpoint.Position < s.Target {
			return fmt.Errorf("the generation that serves is %+v (%v), want one that is built", s, err)
		}
	}
	return nil
}

// TestOperationsInEveryExecMode: behind a connection pooler statements cannot be prepared, and
// parameters go as text.
func TestOperationsInEveryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range pgtest.ExecModes() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b, f := newBench(t), newAccounts(1)
			b.mode = mode
			r, _ := b.startFilled(f, 30)
			b.admin = NewAdmin(b.newPool(), b.db.Schema, b.store)
			b.rebuild(r, "accounts", operations.Options{MemoryBytes: operations.MinMemory, Verify: true})
			b.exec(`UPDATE recount.accounts_g2 SET balance = balance + 1 WHERE id = '7'`)
			if v := b.verify(r, "accounts"); v.Differing != 1 {
				t.Errorf("verify = %+v, want one row differing", v)
			}
			for _, request := range []operations.Request{
				{Kind: Repair, Options: operations.Options{Key: "7"}}, {Kind: Verify}, {Kind: Rollback},
			} {
				request.Subject = "accounts"
				op, err := b.admin.Request(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				b.eventually(func() error { return b.ended(op.ID.String()) })
			}
			if err := b.compare(f); err != nil {
				t.Error(err)
			}
		})
	}
}
