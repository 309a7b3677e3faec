package pgstore_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

// A commit that is cancelled while it waits for a standby succeeds with a
// warning: it is on this server and nowhere else. To answer the caller then
// would be to lose the event in a failover.
func TestCommitThatDidNotReachTheStandbyIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgembed.Config{Settings: map[string]string{"synchronous_commit": "on"}})
	if _, err := migrations.Up(t.Context(), server.DSN("postgres"), migrations.DefaultSchema); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	db := &pgtest.DB{Pool: pool}
	s := open(t, db)
	mustAppend(t, s, happened("standby-1", 0))

	exec(t, db, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
	exec(t, db, `SELECT pg_reload_conf()`)
	eventually(t, "the setting holds", func() bool {
		var names string
		if err := pool.QueryRow(t.Context(), `SHOW synchronous_standby_names`).Scan(&names); err != nil {
			t.Fatal(err)
		}
		return names == "nobody"
	})
	acknowledged := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), happened("standby-1", 1), eventstore.AppendOptions{})
		acknowledged <- err
	}()
	// Each cancelled wait is answered by another connection that waits again.
	for range 3 {
		eventually(t, "the commit waits for the standby", func() bool {
			select {
			case err := <-acknowledged:
				t.Fatalf("append was acknowledged (%v), the standby has not seen it", err)
			default:
			}
			var cancelled bool
			err := pool.QueryRow(t.Context(), `SELECT coalesce(bool_or(pg_cancel_backend(pid)), false)
				FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&cancelled)
			if err != nil {
				t.Fatal(err)
			}
			return cancelled
		})
	}
	exec(t, db, `ALTER SYSTEM RESET synchronous_standby_names`)
	exec(t, db, `SELECT pg_reload_conf()`)
	if err := <-acknowledged; err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, s); len(got) != 2 {
		t.Errorf("log = %q, want two events", got)
	}
}
