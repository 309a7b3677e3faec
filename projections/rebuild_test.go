package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/operations"
)

// fill appends n streams of a few events each and returns the place behind them.
func (b *bench) fill(n int) (end eventstore.Token) {
	b.Helper()
	for i := range n {
		stream := fmt.Sprintf("account-%d", i)
		b.append(stream, opened{Owner: ptr("ann"), At: time.Unix(int64(i), 0)}, deposited{Amount: 10, Note: "a"})
		end = b.append(stream, transferred{To: []string{fmt.Sprint(i / 2), fmt.Sprint(i / 3)}, Amount: 1})
	}
	return end
}

// startFilled fills the log and returns a runner that has applied it, and the place behind it.
func (b *bench) startFilled(f *Fold[string, account], streams int) (*Runner, eventstore.Token) {
	b.Helper()
	end := b.fill(streams)
	r := b.start(b.runner(f))
	b.arrives(r, f.Name(), end)
	return r, end
}

func (b *bench) rebuild(r *Runner, projection string, o operations.Options) operations.Operation {
	b.Helper()
	op, err := r.Run(b.Context(), operations.Request{Kind: Rebuild, Subject: projection, Options: o, Actor: "test"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return op
}

func TestARebuildMakesTheSameRows(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	r, _ := b.startFilled(f, 300)
	for _, o := range []operations.Options{{}, {Workers: 3, MemoryBytes: operations.MinMemory, Verify: true}} {
		op := b.rebuild(r, "accounts", o)
		if op.State != operations.Done || op.Buckets != bucketCount || op.BucketsDone != bucketCount {
			t.Errorf("the operation is %+v, want it done with all buckets", op)
		}
		b.arrives(r, "accounts", b.append("account-1", deposited{Amount: 1}))
		if s := b.status("accounts"); s.Generation != op.Generation || !s.InView || s.Building {
			t.Errorf("after it the newest generation is %+v, want %d, live", s, op.Generation)
		}
		if err := b.compare(f); err != nil {
			t.Error(err)
		}
	}
	all, err := b.admin.Show(t.Context(), "accounts")
	if err != nil || len(all) != 2 {
		t.Errorf("Show = %d generations, %v, want the live one and one to go back to", len(all), err)
	}
}

// TestARebuildNeedsSeveralPassesInLittleMemory counts how often the log is read.
func TestARebuildNeedsSeveralPassesInLittleMemory(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	r, end := b.startFilled(f, 1000)
	once := b.rebuild(r, "accounts", operations.Options{})
	often := b.rebuild(r, "accounts", operations.Options{MemoryBytes: operations.MinMemory, Workers: 1})
	if once.Events != end.Position || often.Events < 2*end.Position {
		t.Errorf("%d events were read with much memory and %d with little, want %d and at least twice that", once.Events, often.Events, end.Position)
	}
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}

// TestARebuildNamesTheEventOfARefusedRow as the live projection does: the first one that the row
// cannot be written after, among others that it can.
func TestARebuildNamesTheEventOfARefusedRow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(30)
	bad := b.append("account-17", deposited{Amount: 1, Note: "\x00"})
	b.append("account-17", deposited{Amount: 1, Note: "after it"})
	_, err := b.runner(newAccounts(1)).Run(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts", Actor: "test"}, nil)
	want := fmt.Sprintf("(Deposited) at position %d: key 17: ", bad.Position)
	var failed *operations.EndedError
	if !errors.As(err, &failed) || !strings.Contains(failed.Operation.Error, want) || !strings.Contains(failed.Operation.Error, "u0000") {
		t.Fatalf("Run = %v, want an error with %q", err, want)
	}
	// And it is one that an operator can leave out.
	if _, err := b.admin.Skip(t.Context(), "accounts", bad.Position, "a NUL", "test"); err != nil {
		t.Error(err)
	}
}

// errKilled is a process's end: nothing runs after it.
var errKilled = errors.New("killed")

// atSteps returns a context in which a rebuild calls step after each of its steps.
func atSteps(b *bench, step func()) context.Context {
	return failpoint.On(b, failpoint.Calls{failpoint.RebuildRecorded: step, failpoint.RebuildCaughtUp: step, failpoint.ProjectRead: step})
}

// TestARebuildGoesOnAfterAKill ends a process after each of its steps, in turn, and goes on in
// another.
func TestARebuildGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	b.startFilled(f, 700)
	steps := 0
	for kill := 1; ; kill++ {
		r := b.runner(f)
		reached := 0
		var cancel context.CancelCauseFunc
		step := func() {
			if reached++; reached == kill {
				cancel(errKilled)
			}
		}
		id, cl, err := r.begin(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts", Options: operations.Options{MemoryBytes: operations.MinMemory, Workers: 1}, Actor: "test"})
		if err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, cancel = context.WithCancelCause(atSteps(b, step))
		x, result, err := r.work(ctx, cl) // and no more: a killed process does not clean up
		cancel(nil)
		if err == nil {
			if err := cl.Do(t.Context(), worked{x, result, nil}, zerolog.Nop()); err != nil {
				t.Fatal(err)
			}
		}
		b.append("account-1", deposited{Amount: 1})
		b.eventually(func() error { return b.ended(id.String()) })
		if reached < kill && err != nil {
			kill-- // on a slow machine the claim ran out before it came to that
			continue
		}
		if reached < kill {
			steps = reached
			break
		}
	}
	if steps < 4 {
		t.Errorf("there were %d steps to be killed after, want at least 4", steps)
	}
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}

// TestARebuildIsVerifiedAlthoughItWasKilled when its rows were complete.
func TestARebuildIsVerifiedAlthoughItWasKilled(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	r, _ := b.startFilled(f, 20)
	b.stop(r)
	o := operations.Options{Verify: true}
	killed := b.killRebuild(f, o, failpoint.RebuildCaughtUp)
	if s := b.status("accounts"); s.Generation != killed.Generation || s.State != BeingBuilt {
		t.Errorf("what was left is %+v, want generation %d, being built", s, killed.Generation)
	}
	op := b.rebuild(b.runner(f), "accounts", o)
	if op.ID != killed.ID || !strings.Contains(string(op.Result), `"log_events"`) {
		t.Errorf("the operation is %+v, want %s with a verification", op, killed.ID)
	}
}

// TestIndexesWaitForWhoeverIsAtTheSameTable: a transaction of a process that lost its connection
// may be as far as the next one, which goes on in its place. One waits for the other then, not each
// for the other.
func TestIndexesWaitForWhoeverIsAtTheSameTable(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	r, _ := b.startFilled(f, 20)
	b.stop(r)
	killed := b.killRebuild(f, operations.Options{}, failpoint.RebuildRecorded)
	table := fmt.Sprintf("recount.accounts_g%d", killed.Generation)
	lost, err := b.pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(context.Background(), lost)
	if _, err := lost.Exec(t.Context(), `SELECT count(*) FROM `+table); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		next := b.runner(f)
		for {
			_, err := next.Run(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts", Actor: "test"}, nil)
			if !pgerr.Is(err, pgerr.LockNotAvailable) { // on a slow machine
				ended <- err
				return
			}
		}
	}()
	b.eventually(func() error {
		var waits bool
		err := b.pool().QueryRow(t.Context(),
			`SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted)`, table).Scan(&waits)
		if err == nil && !waits {
			err = errors.New("nobody waits for the table")
		}
		return err
	})
	if _, err := lost.Exec(t.Context(), `LOCK TABLE `+table); err != nil {
		t.Errorf("the lost transaction cannot go on: %v", err)
	}
	rollback(t.Context(), lost)
	if err := <-ended; err != nil {
		t.Errorf("the rebuild = %v", err)
	}
}

// killRebuild begins a rebuild in a process of its own that is killed at a point, and returns the
// operation that is left. Nothing renews the claim, so no other process may run that would take it.
func (b *bench) killRebuild(f *Fold[string, account], o operations.Options, at failpoint.Point) operations.Operation {
	b.Helper()
	r := b.runner(f)
	_, cl, err := r.begin(b.Context(), operations.Request{Kind: Rebuild, Subject: f.Name(), Options: o, Actor: "test"})
	if err != nil {
		b.Fatal(err)
	}
	var kill context.CancelCauseFunc
	ctx, kill := context.WithCancelCause(failpoint.On(b, failpoint.Calls{at: func() { kill(errKilled) }}))
	defer kill(nil)
	_, _, err = r.work(ctx, cl) // and no more: a killed process does not clean up
	if err == nil || ctx.Err() == nil {
		b.Fatalf("the rebuild ended with %v, want it killed", err)
	}
	return cl.Operation
}

// work does what an operation is for, and leaves its end to others.
func (r *Runner) work(ctx context.Context, cl *operations.Claim) (x *execution, result any, err error) {
	x = &execution{claim: &claim{cl, r.catalog}, runner: r, worker: r.workers[0]}
	result, err = x.Do(ctx, cl, operations.NewMeter(0))
	return x, result, err
}

// worked is work that was done.
type worked struct {
	*execution
	result any
	err    error
}

func (w worked) Do(context.Context, *operations.Claim, *operations.Meter) (any, error) {
	return w.result, w.err
}

// ended returns an error unless the operation is done.
func (b *bench) ended(id string) error {
	all, err := b.admin.Operations(b.Context(), "accounts")
	if err != nil {
		return err
	}
	for _, op := range all {
		if op.ID.String() == id && op.State != operations.Done {
			return fmt.Errorf("the operation is %+v, want it done", op)
		}
	}
	return nil
}

// TestARebuildDuringWritesGoesBackInNothing: what is written while it catches up is in its rows
// when they are shown. Faults that this is to find are in tests/mutants: bucket-twice,
// rebuild-loses-tail, switch-early.
func TestARebuildDuringWritesGoesBackInNothing(t *testing.T) {
	t.Parallel()
	b, f := newUnjudged(t), newAccounts(1)
	live, end := b.startFilled(f, 200)
	r := b.runner(f)
	written := false
	ctx, cancel := context.WithTimeout(failpoint.On(b, failpoint.Calls{failpoint.RebuildCaughtUp: func() {
		if written {
			return
		}
		written = true
		b.arrives(live, "accounts", b.append("account-2", deposited{Amount: 5, Note: "late"}))
		b.stop(live) // else it makes up for a switch too early before anybody looks
	}}), 20*time.Second)
	defer cancel()
	if _, err := r.Run(ctx, operations.Request{Kind: Rebuild, Subject: "accounts", Actor: "test"}, nil); err != nil {
		t.Fatal(err)
	}
	// What is shown now must not be behind what was shown before.
	s, err := b.admin.Show(b.Context(), "accounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range s {
		if g.InView && g.Position < end.Position+1 {
			t.Errorf("generation %d is shown at position %d, the one before was at %d", g.Generation, g.Position, end.Position+1)
		}
	}
	b.start(b.runner(f))
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}

// TestAFirstBuildKeepsWhatCameBefore: one in bulk that meets a bad event stops where one by one
// does, with the appends before it applied, and goes on when the event is skipped.
func TestAFirstBuildKeepsWhatCameBefore(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	good := b.fill(30)
	bad := b.append("account-17", deposited{Amount: 1, Note: "whole"}, deposited{Amount: 1, Note: "refuse"}, deposited{Amount: 1})
	b.append("account-18", deposited{Amount: 1, Note: "refuse"})
	b.append("account-3", deposited{Amount: 1, Note: "after it"})
	c := b.config()
	c.BulkFrom = 1
	r, err := NewRunner(c, f)
	if err != nil {
		t.Fatal(err)
	}
	b.counted[pglog.Projection{Name: "accounts", Version: 1}] = eventstore.Filter{Types: r.workers[0].runs.types()}
	t.Cleanup(func() { b.stop(r) })
	b.start(r)
	s := b.reaches("accounts", operations.Failed, good.Position)
	if s.Position != good.Position || s.Events != good.Position || s.Failure == nil || s.Failure.Position != bad.Position-1 {
		t.Errorf("it stopped as %+v (%+v), want it at %d for the event at %d", s, s.Failure, good.Position, bad.Position-1)
	}
	if rows := b.rows(f, s.Table); len(rows) != 30 {
		t.Errorf("%d rows are there, want 30", len(rows))
	}
	b.eventually(func() error {
		ops, err := b.admin.Operations(t.Context(), "accounts")
		if err == nil && (len(ops) != 1 || ops[0].State != operations.Failed || ops[0].Reason == "") {
			err = fmt.Errorf("the operations are %+v, want one failed with a reason", ops)
		}
		return err
	})
	for range 2 {
		s := b.reaches("accounts", operations.Failed, 0)
		if _, err := b.admin.Skip(t.Context(), "accounts", s.Failure.Position, "test", "test"); err != nil {
			t.Fatal(err)
		}
		b.eventually(func() error {
			if now := b.status("accounts"); now.Position == s.Position {
				return fmt.Errorf("it is still at %d", now.Position)
			}
			return nil
		})
	}
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
	if v := b.verify(r, "accounts"); !v.OK() || v.Skipped != 2 {
		t.Errorf("verify = %+v, want 2 events skipped", v)
	}
	op := b.rebuild(r, "accounts", operations.Options{Verify: true})
	var done Rebuilt
	if err := json.Unmarshal(op.Result, &done); err != nil {
		t.Fatal(err)
	}
	if done.Generation != op.Generation || done.Shown != op.Generation || done.Rows != 30 || done.Skipped != 2 ||
		done.Events != bad.Position+2 || done.Seconds <= 0 || done.Verification == nil || !done.Verification.OK() {
		t.Errorf("the rebuild says %s, want 30 rows of %d events, 2 of them skipped, and generation %d shown",
			op.Result, bad.Position+2, op.Generation)
	}
}

// TestASwitchNamesWhomItWaitsFor while a session holds a lock on the view.
func TestASwitchNamesWhomItWaitsFor(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	b.startFilled(f, 5)
	report := b.db.Connect(t)
	if _, err := report.Exec(t.Context(), `SET application_name = 'monthly report'`); err != nil {
		t.Fatal(err)
	}
	tx, err := report.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT count(*) FROM recount.accounts`); err != nil {
		t.Fatal(err)
	}
	op, err := b.admin.Request(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts", Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("waiting for process %d (monthly report, idle in transaction, query began ", report.PgConn().PID())
	b.eventually(func() error {
		now, err := b.admin.Operation(t.Context(), op.ID)
		if err == nil && !strings.HasPrefix(now.Phase, want) {
			err = fmt.Errorf("the rebuild is %s: %q, want %q", now.State, now.Phase, want)
		}
		return err
	})
	rollback(t.Context(), tx)
	b.eventually(func() error { return b.ended(op.ID.String()) })
}
