package pgstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

func exec(t *testing.T, db *pgtest.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// A reader that steps over a missing event would never know.
func TestReadersStopAtAMissingEvent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	for n := range 10 {
		mustAppend(t, s, happened("gap-1", n))
	}
	exec(t, db, `DELETE FROM recount.events WHERE position = 5`)
	fresh := open(t, db)
	reads := map[string]func() error{
		"forwards": func() error { return drain(fresh, t, eventstore.ReadOptions{PageSize: 2}) },
		"backwards": func() error {
			return drain(fresh, t, eventstore.ReadOptions{From: eventstore.End, Backwards: true, PageSize: 3})
		},
		"stream": func() error {
			for _, err := range fresh.ReadStream(t.Context(), "gap-1", eventstore.ReadOptions{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"subscription": func() error {
			for b, err := range fresh.Subscribe(t.Context(), eventstore.ReadOptions{PageSize: 2}) {
				if err != nil || b.Next > 10 {
					return err
				}
			}
			return nil
		},
	}
	for name, read := range reads {
		if err := read(); !errors.Is(err, eventstore.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

func drain(s eventstore.Reader, t *testing.T, opts eventstore.ReadOptions) error {
	for _, err := range s.ReadAll(t.Context(), opts) {
		if err != nil {
			return err
		}
	}
	return nil
}

// A copy of a database that takes appends on its own gives positions away that
// the original gives away too.
func TestRestoredLogTakesNoAppendsUntilItIsAdopted(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	first := mustAppend(t, s, happened("restored-1", 0))
	last := mustAppend(t, s, happened("restored-1", 1))

	// The restore came back without the last event, on another server.
	exec(t, db, `DELETE FROM recount.events WHERE position = $1`, last.Position)
	exec(t, db, `UPDATE recount.log_incarnations SET system_identifier = 1`)
	restored, beside := open(t, db), open(t, db)
	_, err := restored.Append(t.Context(), happened("restored-1", 2), eventstore.AppendOptions{})
	if !errors.Is(err, pgstore.ErrNotAdopted) || !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatalf("append to a restored log: %v", err)
	}
	if err := restored.CheckAdopted(t.Context()); !errors.Is(err, pgstore.ErrNotAdopted) || !errors.Is(err, eventstore.ErrLogMoved) {
		t.Errorf("CheckAdopted of a restored log = %v", err)
	}

	incarnation, lastCommon, err := restored.Adopt(t.Context())
	if err != nil || incarnation != 2 || lastCommon != first.Position {
		t.Fatalf("Adopt = %d, %d, %v, want 2, %d", incarnation, lastCommon, err, first.Position)
	}
	// Another process that was running may remember the lost event.
	_, err = beside.Append(t.Context(), happened("restored-1", 3), eventstore.AppendOptions{})
	if !errors.Is(err, pgstore.ErrAdopted) {
		t.Errorf("append by a process that was running: %v", err)
	}
	if err := beside.CheckAdopted(t.Context()); !errors.Is(err, pgstore.ErrAdopted) || !errors.Is(err, eventstore.ErrLogMoved) {
		t.Errorf("CheckAdopted of a process that was running = %v", err)
	}
	if err := restored.CheckAdopted(t.Context()); err != nil {
		t.Errorf("CheckAdopted after the adoption = %v", err)
	}
	again := mustAppend(t, restored, happened("restored-1", 3))
	if again.Position != last.Position || again.Token.Incarnation != 2 {
		t.Errorf("append after the adoption = %+v", again)
	}

	// Whoever had not seen the lost event goes on, whoever had is told.
	if err := drain(restored, t, eventstore.ReadOptions{After: first.Token}); err != nil {
		t.Error(err)
	}
	var changed *eventstore.LogChangedError
	err = drain(restored, t, eventstore.ReadOptions{After: last.Token})
	if !errors.As(err, &changed) || changed.LastCommon != first.Position {
		t.Errorf("reading behind a lost event: %v", err)
	}
	for _, err := range restored.Subscribe(t.Context(), eventstore.ReadOptions{After: last.Token}) {
		if !errors.Is(err, eventstore.ErrLogChanged) {
			t.Errorf("subscribing behind a lost event: %v", err)
		}
		break
	}
	if n, _, err := restored.Adopt(t.Context()); err != nil || n != 2 {
		t.Errorf("second Adopt = %d, %v", n, err)
	}
}

func TestOpenSaysThatTablesAreMissing(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	_, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
	if !errors.Is(err, eventstore.ErrUnavailable) || !strings.Contains(err.Error(), "lacks tables of this version") {
		t.Errorf("Open of an empty database: %v", err)
	}
	if _, err := pgstore.Open(t.Context(), pgstore.Config{}); err == nil {
		t.Error("Open without a pool succeeded")
	}
}

// Two schemas of a database are two logs.
func TestSchemasAreLogsOfTheirOwn(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const schema = `Tenant "7"`
	if _, err := migrations.Up(t.Context(), db.DSN, schema); err != nil {
		t.Fatal(err)
	}
	s := open(t, db)
	tenant := open(t, db, func(c *pgstore.Config) { c.Schema = schema })
	mustAppend(t, s, happened("own-1", 1))
	mustAppend(t, s, happened("own-1", 2))
	a := mustAppend(t, tenant, happened("own-1", 3))
	if a.Position != 1 || a.Version != 0 {
		t.Errorf("first append to another schema = %+v", a)
	}
	if err := drain(s, t, eventstore.ReadOptions{After: a.Token}); !errors.Is(err, eventstore.ErrLogChanged) {
		t.Errorf("token of another log: %v", err)
	}
}

// SQL users see JSON where there is JSON, and no error elsewhere.
func TestEventLogViewSurvivesAnyBytes(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	for _, data := range []string{`{"n":1}`, `not json`, "\x00\xff", `{"a":"\u0000"}`, `1e400000`, `"\ud800"`,
		strings.Repeat("[", 30000) + strings.Repeat("]", 30000), ``} {
		mustAppend(t, s, eventstore.StreamAppend{Stream: "view-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "Any", Data: []byte(data)}}})
	}
	var rows, valid int
	err := db.Pool.QueryRow(t.Context(), `SELECT count(*), count(data) FROM recount.event_log WHERE stream = 'view-1'`).Scan(&rows, &valid)
	if err != nil || rows != 8 || valid != 1 {
		t.Errorf("view has %d rows, %d with JSON, %v; want 8 and 1", rows, valid, err)
	}
}
