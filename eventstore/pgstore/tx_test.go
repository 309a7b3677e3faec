package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/pgproxy"
)

// ownRow begins a transaction that writes a row of the caller's.
func ownRow(t *testing.T, db *pgtest.DB, begin func() (pgx.Tx, error), n int) pgx.Tx {
	t.Helper()
	exec(t, db, `CREATE TABLE IF NOT EXISTS own (n int)`)
	tx, err := begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO own VALUES ($1)`, n); err != nil {
		t.Fatal(err)
	}
	return tx
}

func countOwn(t *testing.T, db *pgtest.DB) (n int) {
	t.Helper()
	if err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM own`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAppendCommitWritesBothOrNothing(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	begin := func() (pgx.Tx, error) { return db.Pool.Begin(t.Context()) }
	a := happened("own-1", 1)
	a.Expected = eventstore.NoStream
	done, err := s.AppendCommit(t.Context(), ownRow(t, db, begin, 1), []eventstore.StreamAppend{a}, eventstore.AppendOptions{})
	if err != nil || done[0].Position != 1 {
		t.Fatalf("AppendCommit = %+v, %v", done, err)
	}
	tx := ownRow(t, db, begin, 2)
	_, err = s.AppendCommit(t.Context(), tx, []eventstore.StreamAppend{a}, eventstore.AppendOptions{})
	if !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("stale AppendCommit: %v", err)
	}
	if err := tx.Commit(t.Context()); !errors.Is(err, pgx.ErrTxClosed) {
		t.Errorf("commit after a refused AppendCommit: %v, want a closed transaction", err)
	}
	if n := countOwn(t, db); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	// The appender of this store remembers a log that has moved on.
	mustAppend(t, s, happened("own-1", 2))
	if got := numbers(t, s); len(got) != 2 {
		t.Errorf("log = %q", got)
	}
}

func TestAppendCommitRefusesOldSnapshots(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	begin := func() (pgx.Tx, error) {
		return db.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	}
	_, err := s.AppendCommit(t.Context(), ownRow(t, db, begin, 1), []eventstore.StreamAppend{happened("own-1", 1)}, eventstore.AppendOptions{})
	if !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("AppendCommit at repeatable read: %v", err)
	}
	if n := countOwn(t, db); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

func TestAppendCommitSettlesALostAnswer(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var f faults
	_, pool := throughProxy(t, db, f.choose)
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
	begin := func() (pgx.Tx, error) { return pool.Begin(t.Context()) }
	for i, c := range []struct {
		fault pgproxy.Fault
		want  error
	}{{pgproxy.CutAfter, nil}, {pgproxy.CutBefore, eventstore.ErrUnavailable}} {
		tx := ownRow(t, db, begin, i)
		// The first transaction commits the dictionary's rows by itself.
		f.plant(c.fault)
		_, err := s.AppendCommit(t.Context(), tx, []eventstore.StreamAppend{happened("own-1", i)}, eventstore.AppendOptions{})
		if !errors.Is(err, c.want) {
			t.Errorf("AppendCommit with fault %d: %v, want %v", c.fault, err, c.want)
		}
		if n := countOwn(t, db); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	}
}

// Callers hold connections of the pool while they wait, maybe all of them.
func TestAppendCommitNeedsNoSecondConnectionOfThePool(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	pool := db.NewPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
	// Only for who is to give up: the time is also all that an append has between two statements.
	impatient := open(t, db, func(c *pgstore.Config) { c.Pool, c.LockTimeout = pool, 50*time.Millisecond })
	begin := func() (pgx.Tx, error) { return pool.Begin(t.Context()) }
	appendOwn := func(s *pgstore.Store, n int) error {
		// Each stream is of a category that was never seen.
		a := happened(fmt.Sprintf("own%d-1", n), n)
		_, err := s.AppendCommit(t.Context(), ownRow(t, db, begin, n), []eventstore.StreamAppend{a}, eventstore.AppendOptions{})
		return err
	}
	if err := appendOwn(s, 1); err != nil {
		t.Error(err)
	}
	release := lockLog(t, db)
	if err := appendOwn(impatient, 2); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("AppendCommit while somebody holds the lock: %v, want ErrUnavailable", err)
	}
	release()
	if err := appendOwn(s, 3); err != nil {
		t.Error(err)
	}
}

// Somebody may lock the table, as a migration does; the lock's own timeout is not
// for that.
func TestAppendCommitWaitsForNobodyForLong(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db, func(c *pgstore.Config) { c.WriteTimeout = 200 * time.Millisecond })
	begin := func() (pgx.Tx, error) { return db.Pool.Begin(t.Context()) }
	tx := ownRow(t, db, begin, 1)
	other, err := begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), `LOCK TABLE recount.log_lock IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	_, err = s.AppendCommit(t.Context(), tx, []eventstore.StreamAppend{happened("own-1", 1)}, eventstore.AppendOptions{})
	if !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("AppendCommit while the table is locked: %v, want ErrUnavailable", err)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := countOwn(t, db); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

// What is wrong with the caller's rows is no damage of the log.
func TestAppendCommitSaysWhatIsWrongWithTheCallersRows(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	exec(t, db, `CREATE TABLE parent (n int PRIMARY KEY)`)
	exec(t, db, `CREATE TABLE child (n int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`)
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO child VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	_, err = s.AppendCommit(t.Context(), tx, []eventstore.StreamAppend{happened("own-1", 0)}, eventstore.AppendOptions{})
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.ConstraintName != "child_n_fkey" || errors.Is(err, eventstore.ErrCorrupt) {
		t.Errorf("AppendCommit with a row that has no parent: %v, want the constraint's error", err)
	}
	if got := numbers(t, s); len(got) != 0 {
		t.Errorf("log = %q, want no events", got)
	}
}

func TestAppendCommitToAClosedStore(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := func() (pgx.Tx, error) { return db.Pool.Begin(t.Context()) }
	_, err := s.AppendCommit(t.Context(), ownRow(t, db, begin, 1), []eventstore.StreamAppend{happened("own-1", 0)}, eventstore.AppendOptions{})
	if n := countOwn(t, db); !errors.Is(err, eventstore.ErrClosed) || n != 0 {
		t.Errorf("AppendCommit: %v, and %d rows; want ErrClosed and none", err, n)
	}
}

func TestAppendInRefusesEachByItself(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var o observer
	s := open(t, db, o.attach)
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	stale := happened("own-1", 1)
	stale.Expected = eventstore.Exact(7)
	done, refused, committed, err := s.AppendIn(t.Context(), tx, []eventstore.StreamAppend{happened(strings.Repeat("x", 600), 1), happened("own-1", 1), stale})
	if err != nil || done[1].Position != 1 || !errors.Is(refused[0], eventstore.ErrInvalid) || refused[1] != nil || !errors.Is(refused[2], eventstore.ErrConflict) {
		t.Fatalf("AppendIn = %+v, %v, %v", done, refused, err)
	}
	if len(o.appends) > 0 {
		t.Errorf("before the commit %+v was observed", o.appends)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if committed(); len(o.appends) != 1 || o.appends[0].Events != 1 || o.appends[0].Err != nil {
		t.Errorf("%+v was observed, want one event", o.appends)
	}
}
