package projections

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/operations"
)

// TestAnOperationIsCancelled holds a rebuild where its rows are in the table; nothing stays of it.
func TestAnOperationIsCancelled(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	b.startFilled(f, 20)
	r := b.runner(f)
	held, release := make(chan struct{}), make(chan struct{})
	ctx := failpoint.On(t, failpoint.Calls{failpoint.RebuildCaughtUp: func() { held <- struct{}{}; <-release }})
	result := make(chan error)
	go func() {
		_, err := r.Run(ctx, operations.Request{Kind: Rebuild, Subject: "accounts", Actor: "test"}, nil)
		result <- err
	}()
	<-held
	_, busy := b.admin.Request(t.Context(), operations.Request{Kind: Verify, Subject: "accounts"})
	var other *operations.BusyError
	if !errors.As(busy, &other) {
		t.Fatalf("a second Request = %v, want *operations.BusyError", busy)
	}
	var reasoned interface {
		Reason() (code, subject, schema string)
	}
	if !errors.As(busy, &reasoned) {
		t.Errorf("a second Request = %v, which gives no reason", busy)
	} else if code, subject, schema := reasoned.Reason(); code != "operation-running" || subject != other.Operation.ID.String() || schema == "" {
		t.Errorf("the reason is %s, %s, %q; want operation-running, the id and a schema", code, subject, schema)
	}
	if _, err := b.admin.catalog.operations.RequestCancel(t.Context(), other.Operation.ID); err != nil {
		t.Fatal(err)
	}
	if op, err := b.admin.Operation(t.Context(), other.Operation.ID); err != nil || !op.Cancelling || op.State != operations.Running {
		t.Fatalf("Operation = %+v, %v, want it cancelling", op, err)
	}
	close(release)
	go func() {
		for range held {
		}
	}()
	err := <-result
	close(held)
	var ended *operations.EndedError
	if !errors.As(err, &ended) || ended.Operation.State != operations.Cancelled {
		t.Errorf("Run = %v, want it cancelled", err)
	}
	if op, err := b.admin.Cancel(t.Context(), other.Operation.ID); err != nil || op.State != operations.Cancelled {
		t.Errorf("Cancel of what has ended = %+v, %v, want it as it was", op, err)
	}
	all, err := b.admin.Show(t.Context(), "accounts")
	if err != nil || len(all) != 1 {
		t.Errorf("Show = %+v, %v, want one generation", all, err)
	}
	if _, err := b.pool().Exec(t.Context(), `SELECT FROM recount.accounts_g2`); !pgerr.Is(err, pgerr.NoTable) {
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
	op := b.killRebuild(newAccounts(1), operations.Options{}, failpoint.RebuildRecorded)
	request := operations.Request{Kind: Rebuild, Subject: "accounts", Version: 2}
	if _, err := b.admin.Request(t.Context(), request); !errors.Is(err, operations.ErrBusy) {
		t.Fatalf("Request = %v, want operations.ErrBusy", err)
	}
	b.claimHolds(op.ID, time.Second)
	if after, err := b.admin.Cancel(t.Context(), op.ID); err != nil || after.State != operations.Cancelled {
		t.Errorf("Cancel, while the claim of the dead holds = %+v, %v, want it cancelled", after, err)
	}
	if _, err := b.pool().Exec(t.Context(), `SELECT FROM recount.accounts_g2`); !pgerr.Is(err, pgerr.NoTable) {
		t.Errorf("the table of the cancelled rebuild: %v, want it gone", err)
	}
	if _, err := b.admin.Request(t.Context(), request); err != nil {
		t.Error(err)
	}
}

// claimHolds makes the claim on an operation as fresh as that of a process that was killed just
// now.
func (b *bench) claimHolds(id uuid.UUID, d time.Duration) {
	b.Helper()
	_, err := b.pool().Exec(b.Context(), `UPDATE recount.projection_operations SET lease_expires_at = clock_timestamp() + $2::interval WHERE id = $1`, id, d)
	if err != nil {
		b.Fatal(err)
	}
}

// TestWhatIsBeingCancelledKeepsNobody: whoever cancelled it has died as well. The next request ends
// it rather than join it, and so does a process that runs the projection, whatever its version.
func TestWhatIsBeingCancelledKeepsNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.startFilled(newAccounts(1), 20)
	b.stop(r)
	left := func() operations.Operation {
		op := b.killRebuild(newAccounts(1), operations.Options{}, failpoint.RebuildRecorded)
		b.claimHolds(op.ID, 500*time.Millisecond)
		if _, err := b.admin.catalog.operations.RequestCancel(t.Context(), op.ID); err != nil {
			t.Fatal(err)
		}
		return op
	}
	ended := func(op operations.Operation) error {
		op, err := b.admin.Operation(t.Context(), op.ID)
		if err == nil && op.State != operations.Cancelled {
			err = fmt.Errorf("the operation is %+v, want it cancelled", op)
		}
		return err
	}
	before := left()
	op, err := b.runner(newAccounts(1)).Run(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts"}, nil)
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
