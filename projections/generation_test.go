package projections

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/operations"
)

func TestManyProcessesMakeTheTablesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var starting sync.WaitGroup
	for range 8 {
		r := b.runner(newAccounts(1), newTotals("totals"), newSQLAccounts())
		starting.Go(func() {
			if err := r.Start(t.Context()); err != nil {
				t.Errorf("Start: %v", err)
			}
		})
	}
	starting.Wait()
	all, err := b.admin.List(t.Context())
	if err != nil || len(all) != 3 {
		t.Errorf("List = %d generations, %v, want 3", len(all), err)
	}
}

func TestAChangeWithoutANewVersionIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.stop(b.start(b.runner(newTotals("accounts"))))
	err := b.runner(newAccounts(1)).Start(t.Context())
	var changed *DefinitionChangedError
	if !errors.As(err, &changed) || !strings.HasSuffix(changed.Error(), "raise its Version") || changed.Hint() == "" {
		t.Errorf("Start = %v, want *DefinitionChangedError", err)
	}
	b.start(b.runner(newAccounts(2)))
}

func TestNamesThatAreTakenAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"events", "projections", "event_log"} {
		err := b.runner(newTotals(name)).Start(t.Context())
		var taken *NameTakenError
		if !errors.As(err, &taken) || taken.Hint() == "" {
			t.Errorf("%s: Start = %v, want *NameTakenError", name, err)
		}
	}
}

// TestANewVersionIsBuiltBesideTheOld runs two versions at once, as a rolling deployment does.
func TestANewVersionIsBuiltBesideTheOld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.start(b.leasing(3*time.Second, newTotals("accounts")))
	b.arrives(first, "accounts", b.append("account-1", deposited{Amount: 1, Note: "a"}))
	second := b.start(b.leasing(3*time.Second, newAccounts(2)))
	b.eventually(func() error { return b.shows("accounts", 2) })
	end := b.append("account-1", deposited{Amount: 2, Note: "b"})
	b.arrives(first, "accounts", end)
	b.arrives(second, "accounts", end)
	all, err := b.admin.Show(t.Context(), "accounts")
	if err != nil || len(all) != 2 {
		t.Fatalf("Show = %d generations, %v, want 2", len(all), err)
	}
	for i, s := range all {
		if s.Generation != i+1 || s.Version != i+1 || s.State != operations.Running || s.Position != end.Position || s.InView != (i == 1) {
			t.Errorf("generation %d is %+v, want it running at the end, only the second live", i+1, s)
		}
	}
	for table, want := range map[string]int64{"accounts_g1": 3, "accounts_g2": 3, "accounts": 3} {
		var balance int64
		if err := b.pool().QueryRow(t.Context(), `SELECT balance FROM recount.`+table).Scan(&balance); err != nil || balance != want {
			t.Errorf("%s: the balance is %d (%v), want %d", table, balance, err, want)
		}
	}
	// An old process that starts again goes on with the old generation and leaves the view alone.
	b.stop(first)
	first = b.start(b.leasing(3*time.Second, newTotals("accounts")))
	b.arrives(first, "accounts", b.append("account-1", deposited{Amount: 2}))
	if err := b.shows("accounts", 2); err != nil {
		t.Error(err)
	}
}

// shows returns an error unless the view shows the rows of a generation.
func (b *bench) shows(projection string, generation int) error {
	all, err := b.admin.Show(b.Context(), projection)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.InView && s.Generation != generation {
			return fmt.Errorf("generation %d is live, want %d", s.Generation, generation)
		}
	}
	return nil
}

// TestTheViewKeepsItsRightsWhenColumnsAreAdded: CREATE OR REPLACE keeps what was granted.
func TestTheViewKeepsItsRightsWhenColumnsAreAdded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type narrow struct{ Balance int64 }
	type wide struct {
		Balance int64
		Count   int64
	}
	b.stop(b.start(b.runner(counting[narrow](1))))
	if _, err := b.pool().Exec(t.Context(), `GRANT SELECT ON recount.counts TO PUBLIC`); err != nil {
		t.Fatal(err)
	}
	b.start(b.runner(counting[wide](2)))
	b.eventually(func() error { return b.shows("counts", 2) })
	var granted bool
	err := b.pool().QueryRow(t.Context(), `
		SELECT EXISTS (SELECT FROM information_schema.table_privileges WHERE table_name = 'counts' AND grantee = 'PUBLIC')`).Scan(&granted)
	if err != nil || !granted {
		t.Errorf("the right is there: %v (%v), want true", granted, err)
	}
	if _, err := b.pool().Exec(t.Context(), `SELECT count FROM recount.counts`); err != nil {
		t.Errorf("the view lacks the new column: %v", err)
	}
}

func counting[Row any](version int) *Fold[string, Row] {
	f := NewFold[string, Row](Table{Name: "counts", Version: version})
	Upsert(f, ByID, func(*Row, deposited, Recorded) error { return nil })
	return f
}

// TestANewProjectionIsBuildingUntilItHasCaughtUp holds a projection before its first write.
func TestANewProjectionIsBuildingUntilItHasCaughtUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	end := b.append("account-1", deposited{Amount: 1})
	r := b.runner(newAccounts(1))
	held, release := make(chan struct{}), make(chan struct{})
	b.startIn(failpoint.On(t, failpoint.Calls{failpoint.ProjectRead: func() { held <- struct{}{}; <-release }}), r)
	<-held
	if s := b.status("accounts"); !s.Building || s.LagEvents != 1 {
		t.Errorf("before the first write: building is %v, lag %d, want true and 1", s.Building, s.LagEvents)
	}
	close(release)
	b.arrives(r, "accounts", end)
	if s := b.status("accounts"); s.Building || s.LagEvents != 0 {
		t.Errorf("after it: building is %v, lag %d, want false and 0", s.Building, s.LagEvents)
	}
}

// TestNothingIsLeftAfterMigratingDown: views and tables that the runner made go with its records.
func TestNothingIsLeftAfterMigratingDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1), newSQLAccounts()))
	b.arrives(r, "accounts", eventstore.Token{})
	b.stop(r)
	if _, err := migrations.Down(t.Context(), b.db.Direct, b.db.Schema, 1); err != nil {
		t.Fatal(err)
	}
	rows, err := b.pool().Query(t.Context(), `SELECT relname FROM pg_class WHERE relname LIKE '%account%' OR relname LIKE 'projection%'`)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(left) > 0 {
		t.Errorf("left are %q (%v), want nothing", left, err)
	}
	if _, err := migrations.Up(t.Context(), b.db.Direct, b.db.Schema); err != nil {
		t.Fatal(err)
	}
	b.arrives(b.start(b.runner(newAccounts(1))), "accounts", eventstore.Token{})
}

// TestARunningProjectionComesBackAfterMigratingDownAndUp: what was taken away is made again from
// the log, by the processes that went on running.
func TestARunningProjectionComesBackAfterMigratingDownAndUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	accounts := newAccounts(1)
	r := b.start(b.runner(accounts))
	at := b.append("account-1", opened{}, deposited{Amount: 7})
	b.arrives(r, "accounts", at)
	if _, err := migrations.Down(t.Context(), b.db.Direct, b.db.Schema, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Up(t.Context(), b.db.Direct, b.db.Schema); err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error {
		s, err := b.admin.Show(t.Context(), "accounts")
		if err == nil && s[0].Position < at.Position {
			err = fmt.Errorf("at position %d, want %d", s[0].Position, at.Position)
		}
		return err
	})
	if rows := b.rows(accounts, "accounts_g1"); rows["1"].Balance != 7 {
		t.Errorf("rows are %+v, want the one of the log", rows)
	}
}

// TestAGenerationThatWasReplacedIsNotRun replaces a generation when a process has looked for the
// one that serves and has not taken its lease yet.
func TestAGenerationThatWasReplacedIsNotRun(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	first, _ := b.startFilled(f, 10)
	b.stop(first)
	second := b.runner(f)
	looked, replaced := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.startIn(failpoint.On(t, failpoint.Calls{failpoint.LeaseLooked: func() {
		once.Do(func() { close(looked); <-replaced })
	}}), second)
	<-looked
	op := b.rebuild(b.runner(f), "accounts", operations.Options{})
	close(replaced)
	b.arrives(second, "accounts", b.append("account-1", deposited{Amount: 1}))
	if s := b.status("accounts"); s.Generation != op.Generation || s.Owner != second.Owner() {
		t.Errorf("generation %d is run by %q, want %d by %q", s.Generation, s.Owner, op.Generation, second.Owner())
	}
}

// startTwoVersions runs two versions of the accounts, of which the view shows the second, up to the
// end of a log of one event.
func (b *bench) startTwoVersions() (old, next *Runner, end eventstore.Token) {
	b.Helper()
	old, next = b.start(b.runner(newAccounts(1))), b.start(b.runner(newAccounts(2)))
	end = b.append("account-1", deposited{Amount: 1})
	b.arrives(old, "accounts", end)
	b.arrives(next, "accounts", end)
	b.eventually(func() error { return b.shows("accounts", 2) })
	return old, next, end
}

// TestTheViewFollowsWhatIsRun: after the program of a new version was taken back, the view does not
// stay on rows that nobody brings up to date any more; a restart alone moves nothing.
func TestTheViewFollowsWhatIsRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old, next, _ := b.startTwoVersions()
	b.stop(next)
	end := b.append("account-1", deposited{Amount: 1})
	b.arrives(old, "accounts", end)
	// As often as this has the old one looked, within the minute.
	for range 3 {
		before := b.lastRun("accounts", 1)
		b.eventually(func() error {
			if !b.lastRun("accounts", 1).After(before) {
				return errors.New("the lease is not renewed")
			}
			return nil
		})
	}
	if err := b.shows("accounts", 2); err != nil {
		t.Errorf("within a minute: %v", err)
	}
	b.exec(`UPDATE recount.projection_generations SET last_run_at = last_run_at - interval '2 minutes' WHERE generation = 2`)
	b.eventually(func() error { return b.shows("accounts", 1) })

	next = b.start(b.runner(newAccounts(2)))
	b.arrives(next, "accounts", end)
	b.eventually(func() error { return b.shows("accounts", 2) })
}

func (b *bench) lastRun(projection string, generation int) (at time.Time) {
	b.Helper()
	err := b.pool().QueryRow(b.Context(), `SELECT last_run_at FROM recount.projection_generations WHERE projection = $1 AND generation = $2`,
		projection, generation).Scan(&at)
	if err != nil {
		b.Fatal(err)
	}
	return at
}
