package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// lockLog holds the lock of the log until the test, or release, ends it.
func lockLog(t *testing.T, db *pgtest.DB) (release func()) {
	t.Helper()
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM recount.log_lock FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	ended := false
	release = func() {
		if !ended {
			ended = true
			_ = tx.Rollback(context.Background())
		}
	}
	t.Cleanup(release)
	return release
}

// waitForLock waits until somebody waits for the lock of the log.
func waitForLock(t *testing.T, db *pgtest.DB) {
	t.Helper()
	eventually(t, "somebody waits for the lock", func() bool {
		var waiting bool
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		return waiting
	})
}

// result is what a concurrent append returned.
type result struct {
	appended eventstore.Appended
	err      error
}

// appendInOneBatch appends while the log is locked, so that all but the first
// go into one transaction.
func appendInOneBatch(t *testing.T, db *pgtest.DB, s *pgstore.Store, appends []eventstore.StreamAppend) []result {
	t.Helper()
	release := lockLog(t, db)
	first := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), happened("first-1", 0), eventstore.AppendOptions{})
		first <- err
	}()
	waitForLock(t, db)
	results := make([]result, len(appends))
	done := make(chan int)
	for i, a := range appends {
		started := make(chan struct{})
		go func() {
			close(started)
			results[i].appended, results[i].err = s.Append(t.Context(), a, eventstore.AppendOptions{})
			done <- i
		}()
		<-started
	}
	release()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	for range appends {
		<-done
	}
	return results
}

// Batching must not share fate: a stale append fails alone.
func TestConflictsInABatchLeaveTheirNeighboursAlone(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	mustAppend(t, s, happened("taken-1", 0))
	var appends []eventstore.StreamAppend
	for n := range 60 {
		a := happened(fmt.Sprintf("fresh-%d", n), n)
		if n%2 == 1 {
			a.Stream, a.Expected = "taken-1", eventstore.NoStream
		}
		appends = append(appends, a)
	}
	for n, r := range appendInOneBatch(t, db, s, appends) {
		if conflict := n%2 == 1; conflict != errors.Is(r.err, eventstore.ErrConflict) {
			t.Errorf("append %d = %v, conflict wanted: %t", n, r.err, conflict)
		}
	}
	if got := len(numbers(t, s)); got != 32 {
		t.Errorf("log has %d events, want 32", got)
	}
}

// What only the database refuses, here an id that is behind a version that is
// met, is pinned down to the append that holds it.
func TestRefusedAppendIsFoundAmongItsNeighbours(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	used := happened("used-1", 0)
	used.Events[0].ID = uuid.New()
	mustAppend(t, s, used)
	again := happened("used-1", 1)
	again.Events[0].ID, again.Expected = used.Events[0].ID, eventstore.Exact(0)
	appends := []eventstore.StreamAppend{happened("a-1", 1), happened("a-2", 2), again, happened("a-3", 3), happened("a-4", 4)}
	for i, r := range appendInOneBatch(t, db, s, appends) {
		if (i == 2) != errors.Is(r.err, eventstore.ErrIDReused) {
			t.Errorf("append %d: %v", i, r.err)
		}
	}
	if got := len(numbers(t, s)); got != 6 {
		t.Errorf("log has %d events, want 6", got)
	}
}

// A retry that overtakes its first attempt finds it in the same batch.
func TestRetryInTheSameBatchIsADuplicate(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	a := happened("retry-1", 1)
	a.Events[0].ID = uuid.New()
	duplicates := 0
	for _, r := range appendInOneBatch(t, db, s, []eventstore.StreamAppend{a, a, a}) {
		if r.err != nil {
			t.Fatal(r.err)
		}
		if r.appended.Duplicate {
			duplicates++
		}
	}
	if duplicates != 2 {
		t.Errorf("%d duplicates, want 2", duplicates)
	}
}

func TestAppendNamesWhoHoldsTheLock(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db, func(c *pgstore.Config) { c.LockTimeout = 50 * time.Millisecond })
	lockLog(t, db)
	_, err := s.Append(t.Context(), happened("locked-1", 0), eventstore.AppendOptions{})
	if !errors.Is(err, eventstore.ErrUnavailable) || !strings.Contains(err.Error(), "idle in transaction") {
		t.Errorf("append while somebody holds the lock: %v", err)
	}
}

func TestAppendsBeyondTheQueueAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db, func(c *pgstore.Config) { c.QueueAppends = 3; c.BatchEvents = 1 })
	release := lockLog(t, db)
	errs := make(chan error, 10)
	send := func() {
		_, err := s.Append(t.Context(), happened("queue-1", 0), eventstore.AppendOptions{})
		errs <- err
	}
	go send()
	waitForLock(t, db)
	for range 9 {
		go send()
	}
	// One is being written and three wait.
	for range 6 {
		if err := <-errs; !errors.Is(err, eventstore.ErrOverloaded) {
			t.Errorf("append to a full queue: %v", err)
		}
	}
	release()
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// Long snapshots turn updates of a log into a pile of dead rows.
func TestLogIsOnlyInsertedInto(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s, beside := open(t, db), open(t, db)
	for n := range 20 {
		mustAppend(t, s, happened("insert-1", n))
		mustAppend(t, beside, happened("insert-2", n))
	}
	if _, err := s.DeleteStream(t.Context(), "insert-1", eventstore.StreamExists); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(t.Context(), `SELECT pg_stat_force_next_flush()`); err != nil {
		t.Fatal(err)
	}
	rows, _ := db.Pool.Query(t.Context(), `SELECT c.relname, pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid)
		FROM pg_class c WHERE c.relnamespace = 'recount'::regnamespace AND c.relkind = 'r'
		AND c.relname IN ('events', 'streams', 'event_types', 'categories', 'log_lock', 'log_incarnations')`)
	var table string
	var changed int64
	tables := 0
	_, err := pgx.ForEachRow(rows, []any{&table, &changed}, func() error {
		tables++
		if changed != 0 {
			t.Errorf("%d rows of %s were changed", changed, table)
		}
		return nil
	})
	if err != nil || tables != 6 {
		t.Fatalf("looked at %d tables: %v", tables, err)
	}
}
