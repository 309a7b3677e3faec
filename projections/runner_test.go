package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/operations"
)

func TestAFoldFollowsTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newAccounts(1)
	at := time.Date(2024, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	b.append("account-1", opened{Owner: ptr("ann"), At: at}, deposited{Amount: 5, Note: "a"})
	b.append("account-9", deposited{Amount: 1}, closed{})
	r := b.start(b.runner(f))
	b.append("account-2", deposited{Amount: 7, Note: "b"})
	b.append("account-2", transferred{To: []string{"1", "3", "3"}, Amount: 2})
	b.append("account-1", deposited{Amount: 1, Note: "c"})
	end := b.append("account-3", closed{})
	b.arrives(r, "accounts", end)

	s := b.status("accounts")
	got := b.rows(f, s.Table)
	want := map[string]account{
		"1": {Owner: ptr("ann"), Balance: 8, OpenedAt: at.UTC().Truncate(time.Microsecond), Notes: []string{"a", "c"}, Touched: 2},
		"2": {Balance: 1, Notes: []string{"b"}, Touched: 1},
	}
	if diff := diffRows(got, want); diff != "" {
		t.Error(diff)
	}
	if s.Events != 8 || s.State != operations.Running || s.LagEvents != 0 || s.Owner != r.Owner() || s.Position != end.Position || !s.InView {
		t.Errorf("status is %+v, want 8 events, running, no lag", s)
	}
	var balance, position int64
	err := b.pool().QueryRow(t.Context(), `SELECT balance, recount_position FROM recount.accounts WHERE id = '2'`).Scan(&balance, &position)
	if err != nil || balance != 1 || position != 6 {
		t.Errorf("the view shows balance %d at position %d (%v), want 1 at 6", balance, position, err)
	}
}

func diffRows(got, want map[string]account) string {
	var diff []string
	for id, w := range want {
		if g, ok := got[id]; !ok || describe(g) != describe(w) {
			diff = append(diff, fmt.Sprintf("row %q = %s (there: %v), want %s", id, describe(g), ok, describe(w)))
		}
	}
	for id, g := range got {
		if _, ok := want[id]; !ok {
			diff = append(diff, fmt.Sprintf("row %q = %s, want none", id, describe(g)))
		}
	}
	return strings.Join(diff, "\n")
}

func describe(a account) string {
	owner := "nobody"
	if a.Owner != nil {
		owner = *a.Owner
	}
	return fmt.Sprintf("%s %d %s %q %d", owner, a.Balance, a.OpenedAt, a.Notes, a.Touched)
}

func TestHandlersOfOneEventRunInTheOrderOfRegistration(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type row struct{ Text string }
	f := NewFold[string, row](Table{Name: "texts", Version: 1})
	for _, letter := range []string{"a", "b", "c"} {
		Upsert(f, ByID, func(r *row, _ opened, _ Recorded) error { r.Text += letter; return nil })
	}
	Delete(f, ByID[closed])
	Upsert(f, ByID, func(r *row, _ closed, _ Recorded) error { r.Text += "new"; return nil })
	r := b.start(b.runner(f))
	b.append("x-1", opened{})
	b.arrives(r, "texts", b.append("x-2", opened{}, closed{}))
	var texts []string
	rows, _ := b.pool().Query(t.Context(), `SELECT text FROM recount.texts ORDER BY id`)
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if want := []string{"abc", "new"}; !slices.Equal(texts, want) {
		t.Errorf("rows are %q, want %q", texts, want)
	}
}

// TestTheCheckpointPassesEventsOfOtherTypes: tokens wait for the checkpoint, whatever it handles.
func TestTheCheckpointPassesEventsOfOtherTypes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newTotals("totals")
	r := b.start(b.runner(f))
	b.append("account-1", deposited{Amount: 5})
	end := b.append("account-1", closed{}, closed{})
	b.arrives(r, "totals", end)
	if s := b.status("totals"); s.Position != 3 || s.Events != 1 {
		t.Errorf("position %d after %d events, want 3 after 1", s.Position, s.Events)
	}
}

func TestStopGivesTheLeaseBackAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.reaches("accounts", operations.Running, 0)
	b.stop(r)
	if s := b.status("accounts"); s.State != operations.NoOwner {
		t.Errorf("after Stop the state is %q, want %q", s.State, operations.NoOwner)
	}
	select {
	case <-r.Stopped():
	default:
		t.Error("Stopped is not closed after Stop")
	}
	b.stop(r)
	if err := r.Start(t.Context()); !errors.Is(err, ErrStarted) {
		t.Errorf("a second Start = %v, want ErrStarted", err)
	}
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.runner(newAccounts(1))
	b.stop(r)
	if err := r.Start(t.Context()); !errors.Is(err, ErrStarted) {
		t.Errorf("Start after Stop = %v, want ErrStarted", err)
	}
}

func TestTheEndOfStartsContextStops(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := b.runner(newAccounts(1))
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	b.reaches("accounts", operations.Running, 0)
	cancel()
	<-r.Stopped()
	if s := b.status("accounts"); s.State != operations.NoOwner {
		t.Errorf("the state is %q, want %q", s.State, operations.NoOwner)
	}
}

// TestStopCutsOffWhatDoesNotEnd holds a write and checks that Stop keeps to its deadline and that
// nothing of the write is left.
func TestStopCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.runner(newAccounts(1))
	tx, err := b.pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(context.Background(), tx)
	held := make(chan struct{})
	b.startIn(failpoint.On(t, failpoint.Calls{failpoint.ProjectRead: func() { close(held) }}), r)
	if _, err := tx.Exec(t.Context(), `LOCK TABLE recount.accounts_g1`); err != nil {
		t.Fatal(err)
	}
	b.append("account-1", deposited{Amount: 5})
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop = %v, want its context's error", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := b.status("accounts"); s.Position != 0 {
		t.Errorf("the position is %d, want 0", s.Position)
	}
}

func TestMistakesAreReportedAllAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type row struct{ N int64 }
	upsert := func(f *Fold[string, row]) *Fold[string, row] {
		Upsert(f, ByID, func(*row, opened, Recorded) error { return nil })
		return f
	}
	fold := func(table Table) Projection { return upsert(NewFold[string, row](table)) }
	hostile := NewFold[string, struct{ N uint64 }](Table{Name: "hostile", Version: 1})
	unknown := NewFold[string, row](Table{Name: "unknown", Version: 1})
	Upsert(unknown, ByID, func(*row, time.Time, Recorded) error { return nil })
	missing := NewFold[string, row](Table{Name: "missing", Version: 1})
	Upsert(missing, nil, func(*row, opened, Recorded) error { return nil })
	for _, c := range []struct {
		name string
		p    []Projection
		want string
	}{
		{"no name", []Projection{fold(Table{Version: 1})}, `name "" must be a lower-case letter`},
		{"bad name", []Projection{fold(Table{Name: "Sales!", Version: 1})}, `name "Sales!"`},
		{"long name", []Projection{fold(Table{Name: strings.Repeat("a", 49), Version: 1})}, "at most 48"},
		{"name of a generation", []Projection{fold(Table{Name: "sales_g1", Version: 1})}, "table of a generation"},
		{"name of PostgreSQL's", []Projection{fold(Table{Name: "pg_sales", Version: 1})}, "belong to PostgreSQL"},
		{"no version", []Projection{fold(Table{Name: "sales"})}, "set Version"},
		{"two of a name", []Projection{fold(Table{Name: "sales", Version: 1}), fold(Table{Name: "sales", Version: 2})}, "two of that name"},
		{"no handler", []Projection{NewFold[string, row](Table{Name: "sales", Version: 1})}, "handles no events"},
		{"row type", []Projection{hostile}, "use int64"},
		{"unknown event", []Projection{unknown}, `time.Time is no event of the program: add app.Event[time.Time]("TimeTime", 1) to the Events of its aggregate`},
		{"nil function", []Projection{missing}, "a function for projections.opened is nil"},
		{"unknown column", []Projection{fold(Table{Name: "sales", Version: 1, Indexes: []Index{{Columns: []string{"day"}}}})}, `column "day"; the columns are id, n`},
		{"empty index", []Projection{fold(Table{Name: "sales", Version: 1, Indexes: []Index{{}}})}, "names no columns"},
		{"column twice", []Projection{fold(Table{Name: "sales", Version: 1, Indexes: []Index{{Columns: []string{"n", "n"}}}})}, "names column n twice"},
		{"key in row", []Projection{fold(Table{Name: "sales", Version: 1, Key: []string{"n"}})}, "in the key and in the row"},
		{"reserved column", []Projection{fold(Table{Name: "sales", Version: 1, Key: []string{"recount_position"}})}, "begin with recount_ are taken"},
		{"SQL without functions", []Projection{NewSQL(SQLConfig{Name: "sales", Version: 1, Types: []string{"Opened"}})}, "the function Apply"},
		{"SQL without types", []Projection{NewSQL(SQLConfig{Name: "sales", Version: 1})}, "name them in Types"},
		{"SQL with unknown types", []Projection{NewSQL(SQLConfig{Name: "sales", Version: 1, Types: []string{"Nope"}})}, `event type "Nope" is not in the codec`},
		{"several", []Projection{fold(Table{Name: "Sales"}), hostile}, "use int64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewRunner(b.config(), c.p...)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("NewRunner = %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	short, narrow := b.config(), b.config()
	short.LeaseTTL = time.Millisecond
	narrow.Pool = b.db.NewPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	for name, c := range map[string]Config{"empty": {}, "short lease": short, "one connection": narrow} {
		if _, err := NewRunner(c, newAccounts(1)); err == nil {
			t.Errorf("%s: NewRunner returned no error", name)
		}
	}
}

// TestLargeRowsAreLoadedAFewAtATime: the events of a batch may touch more than fits in memory.
func TestLargeRowsAreLoadedAFewAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const rows, fit = 15, 10
	large := deposited{Note: strings.Repeat("x", eventstore.DefaultPageBytes/fit)}
	var end eventstore.Token
	for i := range rows {
		end = b.append(fmt.Sprintf("account-%d", i), large)
	}
	f := newAccounts(1)
	r := b.start(b.runner(f))
	b.arrives(r, "accounts", end)
	if err := b.admin.Pause(t.Context(), "accounts", "", "test"); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		b.append(fmt.Sprintf("account-%d", i), deposited{Amount: 1})
	}
	// An append is never split.
	all := make([]string, rows)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	b.append("account-0", transferred{To: all, Amount: rows})
	before := r.Stats()[0].Batches
	if err := b.admin.Resume(t.Context(), "accounts", "", "test"); err != nil {
		t.Fatal(err)
	}
	end = b.append("account-0", deposited{Amount: 1})
	b.arrives(r, "accounts", end)
	if n := r.Stats()[0].Batches - before; n <= rows/fit {
		t.Errorf("%d rows of %d bytes were loaded for %d batches, want fewer than %d for each", rows, len(large.Note), n, fit)
	}
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}

// TestAnotherLogIsRefused: rows of one log must not go on with the events of another.
func TestAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", b.append("account-1", deposited{Amount: 5}))
	b.stop(r)

	b.store = memstore.New(memstore.Config{})
	b.append("account-1", deposited{Amount: 5})
	b.append("account-1", deposited{Amount: 5})
	b.start(b.runner(newAccounts(1)))
	s := b.reaches("accounts", operations.Failed, 0)
	if s.Position != 1 || s.Failure.Position != 0 || !strings.Contains(s.Failure.Error, "the token is of log") || s.Failure.Reason != ReasonLogChanged {
		t.Errorf("status is %+v with failure %+v, want a failure about the log, without an event", s, s.Failure)
	}
	if _, err := b.admin.Skip(t.Context(), "accounts", 0, "because", "test"); !errors.Is(err, ErrNotFailed) {
		t.Errorf("Skip = %v, want ErrNotFailed, since there is no event to skip", err)
	}
}

func TestAClosedStoreIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	b.start(b.runner(newAccounts(1)))
	b.reaches("accounts", operations.Running, 0)
	if err := b.store.(*memstore.Store).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The admin reads the log too, so it is asked with another store.
	b.admin = NewAdmin(b.pool(), "", memstore.New(memstore.Config{}))
	s := b.reaches("accounts", operations.Retrying, 0)
	if !strings.Contains(s.Trouble.Error, eventstore.ErrClosed.Error()) {
		t.Errorf("the trouble is %q, want %q", s.Trouble.Error, eventstore.ErrClosed)
	}
}
