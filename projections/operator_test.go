package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
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
		op, err := b.admin.Request(t.Context(), Request{Kind: Rebuild, Projection: name, Actor: "test"})
		if err != nil || op.State != OperationRunning || op.ID == uuid.Nil {
			t.Fatalf("Request = %+v, %v, want it running", op, err)
		}
		b.eventually(func() error {
			op, err = b.admin.Operation(t.Context(), op.ID)
			if err == nil && op.State != OperationDone {
				err = fmt.Errorf("the operation is %+v", op)
			}
			return err
		})
		if s := b.serving(name); s.Generation != 2 {
			t.Errorf("%s: generation %d is shown, want 2", name, s.Generation)
		}
	}
	for _, c := range []struct {
		request Request
		want    error
	}{
		{Request{Kind: Rebuild, Projection: "nothing"}, ErrNotFound},
		{Request{Kind: Rebuild, Projection: "accounts", Options: Options{Workers: -1}}, ErrInvalidRequest},
		{Request{Kind: Repair, Projection: "accounts"}, ErrInvalidRequest},
	} {
		if _, err := b.admin.Request(t.Context(), c.request); !errors.Is(err, c.want) {
			t.Errorf("Request(%+v) = %v, want %v", c.request, err, c.want)
		}
	}
	if _, err := b.admin.Operation(t.Context(), uuid.New()); !errors.Is(err, ErrOperationNotFound) {
		t.Errorf("Operation of no id: %v, want ErrOperationNotFound", err)
	}
}

// TestAnOperationIsCancelled holds a rebuild where its rows are in the table; nothing stays of it.
func TestAnOperationIsCancelled(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	b.startFilled(f, 20)
	r := b.runner(f)
	held, release := make(chan struct{}), make(chan struct{})
	r.workers[0].hooks.beforeSwitch = func() { held <- struct{}{}; <-release }
	result := make(chan error)
	go func() {
		_, err := r.Run(t.Context(), Request{Kind: Rebuild, Projection: "accounts", Actor: "test"}, nil)
		result <- err
	}()
	<-held
	_, busy := b.admin.Request(t.Context(), Request{Kind: Verify, Projection: "accounts"})
	var other *BusyError
	if !errors.As(busy, &other) || other.Hint() == "" {
		t.Fatalf("a second Request = %v, want *BusyError", busy)
	}
	if _, err := b.admin.catalog.askToCancel(t.Context(), other.Operation.ID); err != nil {
		t.Fatal(err)
	}
	if op, err := b.admin.Operation(t.Context(), other.Operation.ID); err != nil || !op.Cancelling || op.State != OperationRunning {
		t.Fatalf("Operation = %+v, %v, want it cancelling", op, err)
	}
	close(release)
	go func() {
		for range held {
		}
	}()
	err := <-result
	close(held)
	var ended *OperationError
	if !errors.As(err, &ended) || ended.Operation.State != OperationCancelled {
		t.Errorf("Run = %v, want it cancelled", err)
	}
	if op, err := b.admin.Cancel(t.Context(), other.Operation.ID); err != nil || op.State != OperationCancelled {
		t.Errorf("Cancel of what has ended = %+v, %v, want it as it was", op, err)
	}
	all, err := b.admin.Show(t.Context(), "accounts")
	if err != nil || len(all) != 1 {
		t.Errorf("Show = %+v, %v, want one generation", all, err)
	}
	if _, err := b.pool().Exec(t.Context(), `SELECT FROM recount.accounts_g2`); !hasCode(err, "42P01") {
		t.Errorf("the table of the cancelled rebuild: %v, want it gone", err)
	}
}

// TestWhatNobodyWorksOnIsCancelled: the program that began it is gone, and none has its version any
// more. It must not keep others from the projection for ever.
func TestWhatNobodyWorksOnIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.startFilled(newAccounts(1), 20)
	b.stop(r)
	op := b.killRebuild(newAccounts(1), Options{}, func(w *worker, kill func()) { w.hooks.afterCopy = kill })
	request := Request{Kind: Rebuild, Projection: "accounts", Version: 2}
	if _, err := b.admin.Request(t.Context(), request); !errors.Is(err, ErrBusy) {
		t.Fatalf("Request = %v, want ErrBusy", err)
	}
	b.claimHolds(op.ID, time.Second)
	if after, err := b.admin.Cancel(t.Context(), op.ID); err != nil || after.State != OperationCancelled {
		t.Errorf("Cancel, while the claim of the dead holds = %+v, %v, want it cancelled", after, err)
	}
	if _, err := b.pool().Exec(t.Context(), `SELECT FROM recount.accounts_g2`); !hasCode(err, "42P01") {
		t.Errorf("the table of the cancelled rebuild: %v, want it gone", err)
	}
	if _, err := b.admin.Request(t.Context(), request); err != nil {
		t.Error(err)
	}
}

// claimHolds makes the claim on an operation as fresh as that of a process that was killed just now.
func (b *bench) claimHolds(id uuid.UUID, d time.Duration) {
	b.Helper()
	_, err := b.pool().Exec(b.Context(), `UPDATE recount.projection_operations SET lease_expires_at = clock_timestamp() + $2::interval WHERE id = $1`, id, d)
	if err != nil {
		b.Fatal(err)
	}
}

// TestWhatIsBeingCancelledKeepsNobody: whoever cancelled it has died as well. The next request ends it
// rather than join it, and so does a process that runs the projection, whatever its version.
func TestWhatIsBeingCancelledKeepsNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.startFilled(newAccounts(1), 20)
	b.stop(r)
	left := func() Operation {
		op := b.killRebuild(newAccounts(1), Options{}, func(w *worker, kill func()) { w.hooks.afterCopy = kill })
		b.claimHolds(op.ID, 500*time.Millisecond)
		if _, err := b.admin.catalog.askToCancel(t.Context(), op.ID); err != nil {
			t.Fatal(err)
		}
		return op
	}
	ended := func(op Operation) error {
		op, err := b.admin.Operation(t.Context(), op.ID)
		if err == nil && op.State != OperationCancelled {
			err = fmt.Errorf("the operation is %+v, want it cancelled", op)
		}
		return err
	}
	before := left()
	op, err := b.runner(newAccounts(1)).Run(t.Context(), Request{Kind: Rebuild, Projection: "accounts"}, nil)
	if err != nil || op.ID == before.ID {
		t.Errorf("Run = %+v, %v, want it done, and another than %s", op, err, before.ID)
	}
	if err := ended(before); err != nil {
		t.Error(err)
	}
	before = left()
	b.start(b.runner(newAccounts(2)))
	b.eventually(func() error { return ended(before) })
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
	s := b.reaches("accounts", Failed, 0)
	if s.Failure.Position != end.Position-1 || s.Position != 0 {
		t.Errorf("it stopped with %+v at %d, want the event at %d and nothing applied", s.Failure, s.Position, end.Position-1)
	}
	if _, err := b.admin.Skip(t.Context(), "accounts", s.Failure.Position, "a test", "test"); err != nil {
		t.Fatal(err)
	}
	b.reaches("accounts", Running, end.Position)
	b.eventually(func() error { return b.shows("accounts", 2) })
	b.arrives(first, "accounts", b.append("account-2", deposited{Amount: 1}))
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
	ops, err := b.admin.Operations(t.Context(), "accounts")
	if err != nil || len(ops) != 2 || ops[0].State != OperationDone || ops[1].State != OperationFailed {
		t.Errorf("Operations = %+v, %v, want one that failed and then one that is done", ops, err)
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
	for _, kind := range []Kind{Verify, Repair, Rollback} {
		_, err := r.Run(t.Context(), Request{Kind: kind, Projection: "accounts", Options: Options{Key: "1"}}, nil)
		var ended *OperationError
		if !errors.As(err, &ended) || ended.Hint() == "" {
			t.Errorf("before the command a %s ended with %v, want *OperationError with a hint", kind, err)
		}
	}
	b.rebuild(r, "accounts", Options{})
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
		b.rebuild(r, "totals", Options{Keep: &keep})
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
