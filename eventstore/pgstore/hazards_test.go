package pgstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// A clock that jumps must not make time run backwards along positions. The
// clock of these sessions is a function of the test's.
func TestRecordedTimeNeverRunsBackwards(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	exec(t, db, `CREATE SCHEMA faked`)
	setClock := func(offset string) {
		exec(t, db, fmt.Sprintf(`CREATE OR REPLACE FUNCTION faked.clock_timestamp() RETURNS timestamptz
			LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '%s' $$`, offset))
	}
	setClock("0")
	pool := changedPool(t, db, func(c *pgx.ConnConfig) { c.RuntimeParams["search_path"] = "faked, pg_catalog" })
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool })
	for n, offset := range []string{"0", "1 hour", "-1 hour", "0"} {
		setClock(offset)
		mustAppend(t, s, happened("clock-1", n))
	}
	var last time.Time
	steps := 0
	for e, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.RecordedAt.Before(last) {
			t.Errorf("position %d was recorded at %s, the one before at %s", e.Position, e.RecordedAt, last)
		}
		if e.RecordedAt.Sub(last) > 59*time.Minute {
			steps++
		}
		last = e.RecordedAt
	}
	if steps != 2 {
		t.Errorf("the clock was seen to begin and to jump %d times, want 2", steps)
	}
}

// Whoever is frozen while it holds the lock must lose it, and whatever the
// default of a database may be, appends are read committed and durable.
func TestAppendsBringTheirOwnSettings(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	exec(t, db, `CREATE TABLE seen (isolation text, lock_timeout text, idle_timeout text, durable text)`)
	exec(t, db, `CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO seen VALUES (current_setting('transaction_isolation'), current_setting('lock_timeout'),
			current_setting('idle_in_transaction_session_timeout'), current_setting('synchronous_commit'));
		RETURN NULL; END $$`)
	exec(t, db, `CREATE TRIGGER see AFTER INSERT ON recount.events FOR EACH STATEMENT EXECUTE FUNCTION see()`)
	pool := changedPool(t, db, func(c *pgx.ConnConfig) {
		c.RuntimeParams["default_transaction_isolation"], c.RuntimeParams["synchronous_commit"] = "serializable", "off"
	})
	s, beside := open(t, db, func(c *pgstore.Config) { c.Pool, c.LockTimeout = pool, 54321*time.Millisecond }), open(t, db)
	// The slow path, the fast path, and the slow path because the log has moved.
	mustAppend(t, s, happened("own-1", 0))
	mustAppend(t, s, happened("own-1", 1))
	exec(t, db, `DELETE FROM seen`)
	mustAppend(t, s, happened("own-1", 2))
	mustAppend(t, beside, happened("own-1", 3))
	exec(t, db, `DELETE FROM seen WHERE lock_timeout <> '54321ms'`)
	mustAppend(t, s, happened("own-1", 4))
	var rows, right int
	err := db.Pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE isolation = 'read committed'
		AND lock_timeout = '54321ms' AND idle_timeout = '54321ms' AND durable = 'on') FROM seen`).Scan(&rows, &right)
	// The plan that is late inserts no rows, but its statement runs too.
	if err != nil || rows != 3 || right != 3 {
		t.Errorf("%d statements, %d of them with the right settings, %v; want 3", rows, right, err)
	}
}

// NOTIFY in the transaction of an append makes all commits of the server queue
// up behind each other.
func TestAppendsDoNotNotify(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	listener, err := db.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Release()
	if _, err := listener.Exec(t.Context(), `LISTEN recount_log`); err != nil {
		t.Fatal(err)
	}
	s := open(t, db, func(c *pgstore.Config) { c.NoListen = true })
	mustAppend(t, s, happened("quiet-1", 0))
	mustAppend(t, s, happened("quiet-1", 1))
	// Notifications arrive in order: this one would come second.
	exec(t, db, `SELECT pg_notify('recount_log', 'end')`)
	n, err := listener.Conn().WaitForNotification(t.Context())
	if err != nil || n.Payload != "end" {
		t.Errorf("notification = %+v, %v, want the test's own", n, err)
	}
}

// Readers do not wait for writers, whatever those do in this database.
func TestOpenTransactionsDoNotHoldReadersBack(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `CREATE TABLE written ()`); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, happened("seen-1", 0))
	if got := numbers(t, open(t, db)); len(got) != 1 {
		t.Errorf("log = %q, want one event", got)
	}
}

// Two processes that touch the same streams in opposite order must not
// deadlock.
func TestAppendsToTheSameStreamsInOppositeOrder(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	errs := make(chan error, 2)
	for i := range 2 {
		s := open(t, db)
		appends := []eventstore.StreamAppend{happened("left-1", i), happened("right-1", i)}
		if i == 1 {
			appends[0], appends[1] = appends[1], appends[0]
		}
		go func() {
			var all error
			for range 30 {
				_, err := s.AppendStreams(t.Context(), appends, eventstore.AppendOptions{})
				all = errors.Join(all, err)
			}
			errs <- all
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// What the tables must be for the log to stay fast and to survive a dump.
func TestTablesAreMadeForALog(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	for what, query := range map[string]string{
		"columns hold transaction ids": `SELECT count(*) = 0 FROM information_schema.columns
			WHERE table_schema = 'recount' AND data_type IN ('xid', 'xid8', 'pg_snapshot')`,
		"events is partitioned": `SELECT relkind = 'r' FROM pg_class WHERE oid = 'recount.events'::regclass`,
		"events is vacuumed at a share of its rows": `SELECT reloptions @> '{autovacuum_vacuum_insert_scale_factor=0,autovacuum_freeze_min_age=0}'
			FROM pg_class WHERE oid = 'recount.events'::regclass`,
		"data is compressed with pglz": `SELECT count(*) = 2 FROM pg_attribute
			WHERE attrelid = 'recount.events'::regclass AND attname IN ('data', 'metadata') AND attcompression = 'l'`,
	} {
		var right bool
		if err := db.Pool.QueryRow(t.Context(), query).Scan(&right); err != nil || !right {
			t.Errorf("%s (%v)", what, err)
		}
	}
}

// A statement that was prepared before a migration must not fail for ever.
func TestStoreSurvivesChangedColumns(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	cfg := func(c *pgstore.Config) { c.Pool = changedPool(t, db, func(*pgx.ConnConfig) {}) }
	s := open(t, db, cfg)
	mustAppend(t, s, happened("changed-1", 0))
	mustAppend(t, s, happened("changed-1", 1))
	exec(t, db, `DROP VIEW recount.event_log`)
	exec(t, db, `ALTER TABLE recount.streams ALTER COLUMN name TYPE varchar(600) COLLATE "C"`)
	exec(t, db, `ALTER TABLE recount.events ADD COLUMN more int`)
	mustAppend(t, s, happened("changed-1", 2))
	mustAppend(t, s, happened("changed-2", 3))
	if got := numbers(t, s); len(got) != 4 {
		t.Errorf("log = %q, want four events", got)
	}
}
