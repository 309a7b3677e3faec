package projections

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
)

func TestOneOfManyProcessesRunsAProjection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var wrote [5]atomic.Int64
	var runners []*Runner
	for range wrote {
		runners = append(runners, b.leasing(lease.MaxTTL, newAccounts(1)))
	}
	var starting sync.WaitGroup
	for i, r := range runners {
		ctx := failpoint.On(t, failpoint.Calls{failpoint.ProjectRead: func() { wrote[i].Add(1) }})
		starting.Go(func() { b.startIn(ctx, r) })
	}
	starting.Wait()
	first := b.reaches("accounts", operations.Running, 0).Owner
	var end eventstore.Token
	for range 50 {
		end = b.append("account-1", deposited{Amount: 1})
		b.reaches("accounts", operations.Running, end.Position)
	}
	s := b.status("accounts")
	if s.Owner != first {
		t.Errorf("the owner went from %s to %s, want no change", first, s.Owner)
	}
	writers := 0
	for i := range wrote {
		if wrote[i].Load() > 0 {
			writers++
		}
	}
	if writers != 1 {
		t.Errorf("%d runners wrote, want 1", writers)
	}
	// The others take over, one after the other, when the owner stops.
	for _, r := range runners {
		b.stop(r)
	}
	if got := b.rows(newAccounts(1), s.Table)["1"].Balance; got != 50 {
		t.Errorf("the balance is %d, want 50", got)
	}
}

func TestAnotherProcessTakesOverAtOnceAfterStop(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.start(b.runner(newAccounts(1)))
	b.arrives(first, "accounts", b.append("account-1", deposited{Amount: 1}))
	second := b.start(b.runner(newAccounts(1)))
	b.stop(first)
	b.arrives(second, "accounts", b.append("account-1", deposited{Amount: 2}))
	s := b.status("accounts")
	if got := b.rows(newAccounts(1), s.Table)["1"].Balance; got != 3 || s.Owner != second.Owner() {
		t.Errorf("the balance is %d by %s, want 3 by %s", got, s.Owner, second.Owner())
	}
}

// TestAFrozenOwnerCannotWrite freezes a process in the middle of its batch until another has taken
// over, and lets it go on.
func TestAFrozenOwnerCannotWrite(t *testing.T) {
	t.Parallel()
	for _, kind := range []Projection{newAccounts(1), newSQLAccounts()} {
		t.Run(kind.Name(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if err := frozenOwner(b, kind); err != nil {
				t.Error(err)
			}
		})
	}
}

// frozenOwner returns an error if the frozen owner writes.
func frozenOwner(b *bench, p Projection) error {
	var freeze sync.Once
	frozen, thaw := make(chan struct{}), make(chan struct{})
	first := b.runner(p)
	freezes := failpoint.On(b, failpoint.Calls{
		failpoint.ProjectRead: func() {
			freeze.Do(func() { close(frozen) })
			<-thaw
		},
		failpoint.LeaseRenewing: func() {
			select {
			case <-frozen:
				<-thaw
			default:
			}
		},
	})
	second := b.leasing(lease.MaxTTL, p)
	holding, release := make(chan struct{}), make(chan struct{})
	var hold sync.Once
	holds := failpoint.On(b, failpoint.Calls{failpoint.ProjectRead: func() {
		hold.Do(func() {
			close(holding)
			<-release
		})
	}})
	b.startIn(freezes, first)
	end := b.append("account-1", deposited{Amount: 1}, deposited{Amount: 2})
	<-frozen
	b.startIn(holds, second)
	<-holding // it has the lease, as soon as that of the first has expired
	close(thaw)
	// The first one goes on to write, and must find that it has no lease any more.
	b.eventually(func() error {
		at, here := first.WaitFor(b.Context(), p.Name(), eventstore.Token{})
		if here && at.Position == 0 {
			return fmt.Errorf("the frozen owner has not noticed yet")
		}
		return nil
	})
	var position int64
	err := b.pool().QueryRow(b.Context(), `SELECT position FROM recount.projection_generations`).Scan(&position)
	if err != nil {
		b.Fatal(err)
	}
	close(release)
	if position != 0 {
		return fmt.Errorf("the frozen owner is at position %d after another took over: it has written", position)
	}
	b.arrives(second, p.Name(), end)
	var balance int64
	if err := b.pool().QueryRow(b.Context(), `SELECT balance FROM recount.`+p.Name()).Scan(&balance); err != nil {
		b.Fatal(err)
	}
	if balance != 3 {
		return fmt.Errorf("the balance is %d, want 3", balance)
	}
	return nil
}

// TestALeaseIsRenewedWhileABatchTakesLong: a batch may take longer than the lease.
func TestALeaseIsRenewedWhileABatchTakesLong(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var renewals atomic.Int64
	first := b.leasing(2*time.Second, newAccounts(1))
	renewed := make(chan struct{})
	b.startIn(failpoint.On(t, failpoint.Calls{
		failpoint.LeaseRenewing: func() {
			if renewals.Add(1) == 10 { // three times the lease
				close(renewed)
			}
		},
		failpoint.ProjectRead: func() { <-renewed },
	}), first)
	b.arrives(first, "accounts", eventstore.Token{})
	b.start(b.runner(newAccounts(1)))
	b.arrives(first, "accounts", b.append("account-1", deposited{Amount: 1}))
}

// TestAWriteOfUnknownOutcomeIsNotRepeated cuts the connection between the commit and its answer, by
// reporting an error although the commit went through.
func TestAWriteOfUnknownOutcomeIsNotRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.runner(newAccounts(1))
	r.workers[0].runs = &forgetful{projector: r.workers[0].runs}
	b.start(r)
	var end eventstore.Token
	for range 10 {
		end = b.append("account-1", deposited{Amount: 1})
	}
	b.arrives(r, "accounts", end)
	s := b.status("accounts")
	if got := b.rows(newAccounts(1), s.Table)["1"].Balance; got != 10 || s.Events != 10 {
		t.Errorf("the balance is %d after %d events, want 10 of both", got, s.Events)
	}
}

// TestALeaseOutlivesNoClock: the server's clock was an hour ahead when a process that is gone took
// the projection, and then an operation.
func TestALeaseOutlivesNoClock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.start(b.runner(newAccounts(1)))
	b.arrives(first, "accounts", b.append("account-1", deposited{Amount: 1}))
	b.stop(first)
	operation, err := NewAdmin(b.pool(), "", b.store).Request(b.Context(), operations.Request{Kind: Verify, Subject: "accounts"})
	if err != nil {
		b.Fatal(err)
	}
	for _, table := range []string{"projection_generations", "projection_operations"} {
		sql := `UPDATE recount.` + table + ` SET owner = 'gone', lease_expires_at = clock_timestamp() + interval '1 hour'`
		if _, err := b.pool().Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	second := b.start(b.runner(newAccounts(1)))
	b.arrives(second, "accounts", b.append("account-1", deposited{Amount: 2}))
	b.eventually(func() error {
		o, err := NewAdmin(b.pool(), "", b.store).Operation(b.Context(), operation.ID)
		if err == nil && o.State != operations.Done {
			err = fmt.Errorf("the operation is %s", o.State)
		}
		return err
	})
}

// TestASuccessorStartsWhenALeaseIsGivenBack, not when it looks again. The lease is given back by a
// process that stops, and by one that stands aside for a program which can read more.
func TestASuccessorStartsWhenALeaseIsGivenBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if db.BehindPooler() {
		t.Skip("a transaction pooler passes no notifications on")
	}
	patient := func(codec *eventstore.Codec) (*bench, *Runner) {
		b := newPGBenchOn(t, db)
		b.codec = codec
		c := b.config()
		c.PollInterval, c.LeaseTTL = time.Hour, lease.MaxTTL
		r, err := NewRunner(c, newAccounts(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.stop(r) })
		return b, b.start(r)
	}
	b, first := patient(newCodec(t))
	end := b.append("account-1", deposited{Amount: 1})
	b.arrives(first, "accounts", end)
	_, second := patient(newCodec(t))
	b.stop(first)
	b.arrives(second, "accounts", end)
	_, third := patient(nextCodec(t))
	b.arrives(third, "accounts", b.append("account-1", depositedV2))
}
