package pgstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// restore makes db look like a restored copy on another server that ends at
// position, and adopts it there. Types and categories written since are gone
// too, and their ids are given out again.
func restore(t *testing.T, db *pgtest.DB, position int64) *pgstore.Store {
	t.Helper()
	exec(t, db, `DELETE FROM recount.streams WHERE id > $1`, position)
	exec(t, db, `DELETE FROM recount.events WHERE position > $1`, position)
	exec(t, db, `DELETE FROM recount.event_types WHERE id NOT IN (SELECT type_id FROM recount.events)`)
	exec(t, db, `DELETE FROM recount.categories WHERE id NOT IN (SELECT category_id FROM recount.events)`)
	for _, table := range []string{"event_types", "categories"} {
		exec(t, db, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('recount.%[1]s', 'id'), max(id)) FROM recount.%[1]s`, table))
	}
	exec(t, db, `UPDATE recount.log_incarnations SET system_identifier = 1`)
	s := open(t, db)
	if _, lastCommon, err := s.Adopt(t.Context()); err != nil || lastCommon != position {
		t.Fatalf("Adopt = %d, %v, want last common position %d", lastCommon, err, position)
	}
	return s
}

// A subscription that outlives the restore has seen events that are gone. If it
// went on, others that got their positions would be skipped.
func TestSubscriptionEndsWhenWhatItHasReadIsLost(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	reader := open(t, db, func(c *pgstore.Config) { c.PollInterval = 5 * time.Millisecond })
	for n := range 4 {
		mustAppend(t, reader, happened("lost-1", n))
	}
	ahead, goOnAhead := subscribe(t, reader, eventstore.ReadOptions{})
	behind, goOnBehind := subscribe(t, reader, eventstore.ReadOptions{PageSize: 1})
	if a, b := <-ahead, <-behind; a.batch.Next != 5 || b.batch.Next != 2 {
		t.Fatalf("first batches are %+v and %+v", a, b)
	}
	restored := restore(t, db, 2)
	for n := range 6 {
		mustAppend(t, restored, happened("other-1", 10+n))
	}
	eventually(t, "the reader knows of the restore", func() bool {
		head, err := reader.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return head.Incarnation == 2
	})
	close(goOnAhead)
	close(goOnBehind)
	var changed *eventstore.LogChangedError
	if end := <-ahead; !errors.As(end.err, &changed) || changed.LastCommon != 2 {
		t.Errorf("subscription that had read what is lost got %+v, want an error that names position 2", end)
	}
	// This one had read only what remains.
	for position := int64(2); position <= 8; position++ {
		d := <-behind
		if d.err != nil || d.batch.Events[0].Position != position || d.batch.Head.Incarnation != 2 {
			t.Fatalf("subscription that had read nothing of it got %+v, want position %d of incarnation 2", d, position)
		}
		if lost := d.batch.Events[0].Stream == "lost-1"; lost != (position == 2) {
			t.Errorf("position %d is of stream %s", position, d.batch.Events[0].Stream)
		}
	}
}

// A reader that lives through a restore, before anybody adopts the log, does not
// take the shorter log for a damaged one, and goes on when it is longer again.
func TestAShorterLogIsNotADamagedOne(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	writer := open(t, db)
	reader := open(t, db, func(c *pgstore.Config) { c.NoListen, c.PollInterval = true, time.Hour })
	for n := range 4 {
		mustAppend(t, writer, happened("short-1", n))
	}
	if head, err := reader.Head(t.Context()); err != nil || head.Position != 4 {
		t.Fatalf("Head = %+v, %v", head, err)
	}
	exec(t, db, `DELETE FROM recount.events WHERE position > 2`)
	next := func() error {
		for _, err := range reader.Subscribe(t.Context(), eventstore.ReadOptions{From: 3}) {
			return err
		}
		return nil
	}
	if err := next(); !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrCorrupt) {
		t.Fatalf("a subscription to the shorter log got %v, want ErrUnavailable", err)
	}
	mustAppend(t, open(t, db), happened("short-1", 3))
	if err := next(); err != nil {
		t.Errorf("a subscription to the log that goes on got %v", err)
	}
}

type delivery struct {
	batch eventstore.Batch
	err   error
}

// subscribe passes on what a subscription yields. After each of them it waits
// for goOn.
func subscribe(t *testing.T, s *pgstore.Store, opts eventstore.ReadOptions) (deliveries <-chan delivery, goOn chan struct{}) {
	list := make(chan delivery)
	goOn = make(chan struct{})
	go func() {
		for b, err := range s.Subscribe(t.Context(), opts) {
			select {
			case list <- delivery{b, err}:
			case <-t.Context().Done():
				return
			}
			select {
			case <-goOn:
			case <-t.Context().Done():
				return
			}
		}
	}()
	return list, goOn
}

// Ids of streams and types that a restore has lost are given to others.
func TestNamesAreForgottenWithTheLogThatHadThem(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	reader := open(t, db)
	mustAppend(t, reader, happened("kept-1", 0))
	lost := happened("lost-1", 1)
	lost.Events[0].Type = "Lost"
	mustAppend(t, reader, lost)
	if err := drain(reader, t, eventstore.ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	restored := restore(t, db, 1)
	found := happened("found-1", 1)
	found.Events[0].Type = "Found"
	mustAppend(t, restored, found)
	for e, err := range reader.ReadAll(t.Context(), eventstore.ReadOptions{From: 2}) {
		if err != nil || e.Stream != "found-1" || e.Type != "Found" {
			t.Errorf("event of a stream and a type with ids used before = %q of %q, %v", e.Type, e.Stream, err)
		}
	}
}

// replaceTables leaves tables that are as new. Stores that are open look at them in any order, so
// it may be the victim of a deadlock.
func replaceTables(t *testing.T, db *pgtest.DB) {
	t.Helper()
	const sql = `TRUNCATE recount.events, recount.streams, recount.event_types, recount.categories,
		recount.receipts, recount.log_incarnations RESTART IDENTITY`
	for {
		_, err := db.Pool.Exec(t.Context(), sql)
		var code *pgconn.PgError
		switch {
		case err == nil:
			return
		case !errors.As(err, &code) || code.Code != "40P01":
			t.Fatal(err)
		}
	}
}

// Another log has other ids for the same types and streams: an append by those of
// the log before would say what nobody said.
func TestALogThatTookThePlaceOfAnotherIsNotTakenForIt(t *testing.T) {
	t.Parallel()
	for _, connections := range []string{"kept", "cut"} {
		t.Run(connections, func(t *testing.T) {
			t.Parallel()
			db := newLog(t)
			s := open(t, db)
			mustAppend(t, s, happened("before-1", 0))
			if err := drain(s, t, eventstore.ReadOptions{}); err != nil {
				t.Fatal(err)
			}
			replaceTables(t, db)
			if connections == "cut" {
				exec(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			}
			refused := func(state string) {
				t.Helper()
				_, err := s.Append(t.Context(), happened("before-1", 1), eventstore.AppendOptions{})
				if home := s.CheckAdopted(t.Context()); !errors.Is(err, pgstore.ErrReplaced) || !errors.Is(home, pgstore.ErrReplaced) {
					t.Errorf("%s: Append = %v, CheckAdopted = %v, want ErrReplaced", state, err, home)
				}
			}
			refused("new tables")
			if _, err := s.Head(t.Context()); !errors.Is(err, pgstore.ErrReplaced) {
				t.Errorf("Head of new tables: %v, want ErrReplaced", err)
			}
			other := happened("after-1", 0)
			other.Events[0].Type = "Other"
			mustAppend(t, open(t, db), other)
			refused("another log")
			eventually(t, "reads know that it is another log", func() bool {
				_, err := s.Head(t.Context())
				return err == nil
			})
			for e, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{}) {
				if err != nil || e.Stream != "after-1" || e.Type != "Other" {
					t.Errorf("event of the other log = %q of %q, %v", e.Type, e.Stream, err)
				}
			}
		})
	}
}
