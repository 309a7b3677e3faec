package pgstore_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/pgproxy"
)

// faults are the faults to come, one for each COMMIT.
type faults struct{ next atomic.Pointer[pgproxy.Fault] }

func (f *faults) plant(fault pgproxy.Fault) { f.next.Store(&fault) }

func (f *faults) choose() pgproxy.Fault {
	if fault := f.next.Swap(nil); fault != nil {
		return *fault
	}
	return pgproxy.None
}

// throughProxy returns a pool whose connections go through a proxy.
func throughProxy(t *testing.T, db *pgtest.DB, choose func() pgproxy.Fault) (*pgproxy.Proxy, *pgxpool.Pool) {
	t.Helper()
	proxy, err := pgproxy.Start(db.DSN, choose)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return proxy, changedPool(t, db, proxy.Configure)
}

// An append that names no ids has nothing to retry with: if the store took a
// lost answer for a failure its caller would append again. Either fault, on
// either path, must be invisible.
func TestAppendIsStoredOnceWhenTheConnectionIsLostAtCommit(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]pgproxy.Fault{"before": pgproxy.CutBefore, "after": pgproxy.CutAfter} {
		for _, path := range []string{"fast", "long"} {
			t.Run(name+"/"+path, func(t *testing.T) {
				t.Parallel()
				db := newLog(t)
				var f faults
				_, pool := throughProxy(t, db, f.choose)
				s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
				beside := open(t, db)
				for n := range 6 {
					if path == "long" {
						// Another process appends in between.
						mustAppend(t, beside, happened("beside-1", 100+n))
					} else if n == 0 {
						mustAppend(t, s, happened("once-1", 99))
					}
					f.plant(fault)
					got := mustAppend(t, s, happened("once-1", n))
					if f.next.Load() != nil {
						t.Fatal("the fault did not happen")
					}
					if path == "fast" && got.Version != int64(n+1) {
						t.Errorf("version = %d, want %d", got.Version, n+1)
					}
				}
				seen := make(map[string]int)
				for _, data := range numbers(t, beside) {
					seen[data]++
				}
				for n := range 6 {
					if got := seen[fmt.Sprintf(`{"n":%d}`, n)]; got != 1 {
						t.Errorf("event %d is stored %d times, want once", n, got)
					}
				}
			})
		}
	}
}

// The messages of a connection that was given up may reach the server long
// after the append was settled and repeated on another one.
func TestAppendThatArrivesLateWritesNothing(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var f faults
	proxy, pool := throughProxy(t, db, f.choose)
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
	mustAppend(t, s, happened("late-1", 0))
	f.plant(pgproxy.Hold)
	mustAppend(t, s, happened("late-1", 1))
	proxy.Release()
	// The late transaction is in front of this one, or has been.
	waitUntilOneConnectionAppends(t, db)
	mustAppend(t, s, happened("late-1", 2))
	if got := numbers(t, s); len(got) != 3 {
		t.Errorf("log = %q, want three events", got)
	}
}

// waitUntilOneConnectionAppends waits until no transaction is open but our own.
func waitUntilOneConnectionAppends(t *testing.T, db *pgtest.DB) {
	t.Helper()
	eventually(t, "no transaction is open", func() bool {
		var open int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`).Scan(&open)
		if err != nil {
			t.Fatal(err)
		}
		return open == 0
	})
}

func TestReceiptIsStoredOnceWhenTheConnectionIsLostAtCommit(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var f faults
	_, pool := throughProxy(t, db, f.choose)
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
	mustAppend(t, s, happened("receipt-1", 0))
	for i, fault := range []pgproxy.Fault{pgproxy.CutAfter, pgproxy.CutBefore} {
		f.plant(fault)
		r := &eventstore.Receipt{Scope: "test", Key: fmt.Sprint(i), Answer: []byte("no")}
		a, err := s.Append(t.Context(), eventstore.StreamAppend{Stream: "receipt-1", Expected: eventstore.Exact(0)},
			eventstore.AppendOptions{Receipt: r})
		if err != nil {
			t.Fatal(err)
		}
		if a.Version != 0 || a.Position != 0 {
			t.Errorf("append of no events = %+v, want version 0 and no position", a)
		}
		if _, err := s.Receipt(t.Context(), "test", fmt.Sprint(i)); err != nil {
			t.Error(err)
		}
	}
}

func TestAppendWithIDsIsStoredOnceUnderRandomCuts(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var commits atomic.Int64
	_, pool := throughProxy(t, db, func() pgproxy.Fault {
		switch commits.Add(1) % 7 {
		case 3:
			return pgproxy.CutBefore
		case 5:
			return pgproxy.CutAfter
		default:
			return pgproxy.None
		}
	})
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
	const callers, each = 8, 25
	var r logcheck.Recorder
	failures := make(chan error, callers)
	for caller := range callers {
		go func() {
			failures <- func() error {
				for n := range each {
					a := happened(fmt.Sprintf("cut-%d", n%5), n)
					a.Events[0].ID = uuid.New()
					for {
						err := recorded(t, &r, fmt.Sprint(caller), s, a)
						if err == nil {
							break
						}
						if !errors.Is(err, eventstore.ErrOutcomeUnknown) && !errors.Is(err, eventstore.ErrUnavailable) {
							return err
						}
					}
				}
				return nil
			}()
		}()
	}
	for range callers {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	judge(t, &r, db)
}

func TestAppendSurvivesTheEndOfItsBackend(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	// Not of the pool, whose connections are ended too.
	killer := db.Connect(t)
	for n := range 10 {
		mustAppend(t, s, happened("backend-1", n))
		_, err := killer.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			t.Fatal(err)
		}
	}
	db.Pool.Reset()
	if got := numbers(t, s); len(got) != 10 {
		t.Errorf("log has %d events, want 10", len(got))
	}
}
