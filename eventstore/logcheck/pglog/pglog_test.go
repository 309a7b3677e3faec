package pglog_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fill writes a log of twelve events, with appends of two streams.
func fill(t *testing.T, db *pgtest.DB) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for n := range 4 {
		event := func(part string) eventstore.Event {
			return eventstore.Event{Type: "Happened", Data: fmt.Appendf(nil, "%d%s", n, part), Metadata: []byte("{}")}
		}
		_, err := s.AppendStreams(t.Context(), []eventstore.StreamAppend{
			{Stream: "a-1", Expected: eventstore.Any, Events: []eventstore.Event{event("a"), event("b")}},
			{Stream: fmt.Sprint("a-", 2+n), Expected: eventstore.Any, Events: []eventstore.Event{event("c")}},
		}, eventstore.AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// The tables and the store's reads are two ways to the same log.
func TestReadIsWhatTheStoreReads(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := fill(t, db)
	l, err := pglog.Read(t.Context(), db.Pool, db.Schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	logcheck.Test(t, logcheck.CheckLog(l))
	all := eventstore.Batch{Next: 13}
	for e, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all.Events = append(all.Events, e)
	}
	h := logcheck.History{Batches: []logcheck.Batch{logcheck.BatchOf("store", 1, 1, all)}}
	logcheck.Test(t, logcheck.Deliveries(&h, l, logcheck.DeliveryOptions{Head: 12}))
}

// failures is a test that is to fail.
type failures struct {
	found    []string
	cleanups []func()
}

func (*failures) Helper()            {}
func (f *failures) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *failures) Errorf(format string, args ...any) {
	f.found = append(f.found, fmt.Sprintf(format, args...))
}

func TestDamagedTablesFailTheTest(t *testing.T) {
	t.Parallel()
	for what, damage := range map[string]string{
		"nothing":   ``,
		"a gap":     `DELETE FROM recount.events WHERE position = 4`,
		"a version": `UPDATE recount.events SET version = 9 WHERE position = 11`,
		"a time":    `UPDATE recount.events SET recorded_at = '2000-01-01' WHERE position = 5`,
		"an append": `UPDATE recount.events SET append_rest = 0 WHERE position = 8`,
		"a table":   `DROP TABLE recount.events CASCADE`,
		"an id":     `UPDATE recount.events SET id = (SELECT id FROM recount.events WHERE position = 1) WHERE position = 2`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			fill(t, db)
			var f failures
			pglog.CheckAtEnd(&f, db.Pool, db.Schema)
			if _, err := db.Pool.Exec(t.Context(), damage); err != nil {
				t.Fatal(err)
			}
			f.cleanups[0]()
			if (len(f.found) == 0) != (damage == "") {
				t.Errorf("the check says %q", f.found)
			}
		})
	}
}

func TestCheckpointsAndConnections(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	before, err := pglog.Connections(t.Context(), db.Pool)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // one that waits for each query, and others
		conn, err := db.Pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	after, err := pglog.Connections(t.Context(), db.Pool)
	if err != nil {
		t.Fatal(err)
	}
	if found := logcheck.Leaks(before, after); len(found) == 0 {
		t.Errorf("connections before: %v, after: %v; want more", before, after)
	}
	if list, err := pglog.Checkpoints(t.Context(), db.Pool, db.Schema, nil); err != nil || len(list) != 0 {
		t.Errorf("Checkpoints = %v, %v; want none", list, err)
	}
}
