package pgstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

// A commit that is cancelled while it waits for a standby succeeds with a
// warning: it is on this server and nowhere else. To answer the caller then
// would be to lose the event in a failover.
func TestCommitThatDidNotReachTheStandbyIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	db := newReplicated(t)
	s := open(t, db)
	mustAppend(t, s, happened("standby-1", 0))

	setStandbys(t, db, "nobody")
	acknowledged := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), happened("standby-1", 1), eventstore.AppendOptions{})
		acknowledged <- err
	}()
	// Each cancelled wait is answered by another connection that waits again.
	cancelled := []int32{0}
	for range 3 {
		eventually(t, "the commit waits for the standby", func() bool {
			select {
			case err := <-acknowledged:
				t.Fatalf("append was acknowledged (%v), the standby has not seen it", err)
			default:
			}
			var pid int32
			err := db.Pool.QueryRow(t.Context(), `SELECT coalesce(max(pid) FILTER (WHERE pg_cancel_backend(pid)), 0)
				FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> ALL($1)`, cancelled).Scan(&pid)
			if err != nil {
				t.Fatal(err)
			}
			cancelled = append(cancelled, pid)
			return pid != 0
		})
	}
	setStandbys(t, db, "")
	if err := <-acknowledged; err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, s); len(got) != 2 {
		t.Errorf("log = %q, want two events", got)
	}
}

// A connection that is given up while it waits for the standby must be left to
// wait: if it were cancelled the event would be visible, and the lock free,
// though the event is nowhere but here.
func TestCommitThatIsGivenUpGoesOnWaitingForTheStandby(t *testing.T) {
	t.Parallel()
	db := newReplicated(t)
	mustAppend(t, open(t, db), happened("standby-1", 0))
	// It must have come to the COMMIT by then.
	s := open(t, db, func(c *pgstore.Config) { c.WriteTimeout, c.SettleTimeout = 3*time.Second, time.Millisecond })
	setStandbys(t, db, "nobody")
	_, err := s.Append(t.Context(), happened("standby-1", 1), eventstore.AppendOptions{})
	if !errors.Is(err, eventstore.ErrOutcomeUnknown) {
		t.Errorf("append that the standby has not seen: %v, want ErrOutcomeUnknown", err)
	}
	// A cancellation would have been sent by now, and would end the wait.
	exec(t, db, `SELECT pg_sleep(0.3)`)
	if got := numbers(t, s); len(got) != 1 {
		t.Errorf("log = %q, want only the event that the standby has seen", got)
	}
	setStandbys(t, db, "")
}

// newReplicated returns a database whose commits can be made to wait.
func newReplicated(t *testing.T) *pgtest.DB {
	t.Helper()
	server := pgtest.NewServer(t, pgembed.Config{Settings: map[string]string{"synchronous_commit": "on"}})
	if _, err := migrations.Up(t.Context(), server.DSN("postgres"), migrations.DefaultSchema); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &pgtest.DB{Pool: pool}
}

// setStandbys says whom commits wait for.
func setStandbys(t *testing.T, db *pgtest.DB, names string) {
	t.Helper()
	exec(t, db, `ALTER SYSTEM SET synchronous_standby_names = '`+names+`'`)
	exec(t, db, `SELECT pg_reload_conf()`)
	eventually(t, "the setting holds", func() bool {
		var now string
		if err := db.Pool.QueryRow(t.Context(), `SHOW synchronous_standby_names`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		return now == names
	})
	if names != "" {
		eventually(t, "commits wait for the standby", func() bool { return commitWaits(t, db) })
	}
}

// commitWaits tries a commit. Whether one waits is decided by the server's
// checkpointer, which may read a setting later than others do.
func commitWaits(t *testing.T, db *pgtest.DB) bool {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), db.Pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), `SELECT pg_logical_emit_message(true, 'test', 'commit')`)
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return false
		default:
		}
		var waited bool
		err := db.Pool.QueryRow(t.Context(), `SELECT coalesce(bool_or(pg_cancel_backend(pid)), false)
			FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`, int32(conn.PgConn().PID())).Scan(&waited)
		if err != nil {
			t.Fatal(err)
		}
		if waited {
			<-done // with a warning
			return true
		}
	}
}
