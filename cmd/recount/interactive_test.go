package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop/onlineretail"
)

func TestDestructionHasToBeConfirmed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, c := range []struct {
		answer  string
		code    int
		version uint
		says    string
	}{
		{"no\n", exitFailure, migrations.Latest(), `it takes the word yes, not "no"`},
		{"y\n", exitFailure, migrations.Latest(), `it takes the word yes, not "y"`},
		{`"yes` + "\n", exitFailure, migrations.Latest(), `it takes the word yes, not "\\"yes"; nothing was done`},
		{"", exitFailure, migrations.Latest(), `it takes the word yes, not ""`},
		{" yes \n", exitOK, 0, ""},
	} {
		said := newTranscript()
		a := &app{stdin: strings.NewReader(c.answer), stdout: said, stderr: said, stdinTTY: true, getenv: func(string) string { return "" }}
		if code := a.run(t.Context(), []string{"migrate", "down", "--to", "0", "--database", db.DSN}); code != c.code {
			t.Errorf("answered %q it ends with %d, want %d", c.answer, code, c.code)
		}
		said.await(t, `deletes data for ever\. Continue\? Type yes: `, nil)
		said.await(t, c.says, nil)
		if now, err := migrations.Status(t.Context(), db.DSN, db.Schema); err != nil || now.Current != c.version {
			t.Errorf("answered %q the tables are at version %d (%v), want %d", c.answer, now.Current, err, c.version)
		}
	}
}

func TestMigrateTellsTheWayOutOfADirtySchema(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	if _, err := db.Pool.Exec(t.Context(), `UPDATE recount.schema_migrations SET dirty = true`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command string
		code    int
	}{{"status", exitCheckFailed}, {"up", exitConflict}} {
		said := newTranscript()
		a := &app{stdout: said, stderr: said, getenv: func(string) string { return "" }}
		if code := a.run(t.Context(), []string{"migrate", c.command, "--database", db.DSN}); code != c.code {
			t.Errorf("migrate %s ends with %d, want %d", c.command, code, c.code)
		}
		said.await(t, `error: schema "recount" is marked dirty at version \d+.*\nhint: .*recount migrate force VERSION`, nil)
	}
}

func TestLogTailFollowsUntilInterrupted(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	store := openStore(t, db)
	appendTo(t, store, "order-1", "Placed")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	data, said := newTranscript(), newTranscript()
	a := &app{stdin: strings.NewReader(""), stdout: data, stderr: said, getenv: func(string) string { return "" }}
	code := make(chan int, 1)
	go func() {
		code <- a.run(ctx, []string{"log", "tail", "-f", "--category", "order", "-o", "json", "--database", db.DSN})
	}()
	data.await(t, `^{"position":1,.*}\n$`, nil)
	appendTo(t, store, "stock-1", "Received")
	appendTo(t, store, "order-1", "Shipped")
	data.await(t, `^{"position":1,.*}\n{"position":3,.*}\n$`, nil)
	cancel(errInterrupted)
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
	said.await(t, `^interrupted\n$`, nil)
}

// noted is an event of the test.
type noted struct{ N int }

func TestAFailedProjectionIsShownAndSkipped(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	store := openStore(t, db)
	codec, err := eventstore.NewCodec(eventstore.TypeOf[noted]("Noted", 1))
	if err != nil {
		t.Fatal(err)
	}
	fold := projections.NewFold[string, noted](projections.Table{Name: "notes", Version: 1})
	projections.Upsert(fold, projections.ByID, func(row *noted, e noted, _ projections.Recorded) error {
		if e.N == 13 {
			return errors.New("unlucky")
		}
		*row = e
		return nil
	})
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec, PollInterval: 20 * time.Millisecond}, fold)
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer runner.Stop(context.WithoutCancel(t.Context()))
	appendNotes(t, store, 12, 13, 14)

	run := func(want int, args ...string) string {
		t.Helper()
		said := newTranscript()
		a := &app{stdin: strings.NewReader(""), stdout: said, stderr: said, getenv: func(string) string { return "" }}
		code := a.run(t.Context(), append([]string{"projections", "--database", db.DSN}, args...))
		text, _ := said.read()
		if code != want {
			t.Fatalf("recount projections %s: exit code %d, want %d:\n%s", args, code, want, text)
		}
		return text
	}
	shows := func(parts ...string) {
		t.Helper()
		until(t, fmt.Sprintf("projections show has %q", parts), func() bool {
			text := run(exitOK, "show", "notes")
			for _, part := range parts {
				if !strings.Contains(text, part) {
					return false
				}
			}
			return true
		})
	}
	shows("failed", "on event", "Noted in note-1, position 2", "error: ", "unlucky\n", "hint: ", "recount projections skip notes")
	if text := run(exitOK, "show", "notes", "-o", "json"); !strings.Contains(text, `"reason":"event-not-applied"`) {
		t.Errorf("show -o json does not say the reason:\n%s", text)
	}
	// Earlier versions wrote the sentence.
	if _, err := db.Pool.Exec(t.Context(), `UPDATE recount.projection_generations SET failure_hint = 'so {subject} was said'`); err != nil {
		t.Fatal(err)
	}
	shows("hint: so {subject} was said\n")
	if text := run(exitConflict, "skip", "notes", "--position", "1", "--reason", "the wrong one"); !strings.Contains(text, "it stopped at 2\n") {
		t.Errorf("skip of another position printed:\n%s", text)
	}
	if text := run(exitOK, "skip", "notes", "--position", "2", "--reason", "a test"); !strings.Contains(text, "a test") {
		t.Errorf("skip printed:\n%s", text)
	}
	shows("running", "SKIPPED", "a test", actor())
	if text := run(exitOK, "show", "notes", "-o", "json"); !strings.Contains(text, `"skips":[{"projection":"notes","generation":1,"position":2,`) {
		t.Errorf("show -o json printed:\n%s", text)
	}
	run(exitConflict, "skip", "notes", "--reason", "again")
	if text := run(exitOK, "pause", "notes"); text != "notes is paused\n" {
		t.Errorf("pause printed:\n%s", text)
	}
	shows("paused")
	if text := run(exitOK, "resume", "notes", "-o", "json"); text != `{"name":"notes","paused":false}`+"\n" {
		t.Errorf("resume -o json printed:\n%s", text)
	}
	shows("running")
}

func TestProgressRewritesItsLineOnATerminal(t *testing.T) {
	t.Parallel()
	report := onlineretail.Report{Total: 200, Done: 50, Replayed: 10, Retries: 2, Trouble: errors.New("no\nroute"), Elapsed: time.Second}
	for _, c := range []struct {
		rewrites bool
		want     string
	}{
		{true, "\rimport: 50 of 200 commands, 50/s, 10 of them done before, 2 retries (no\uFFFDroute)\x1b[K\n"},
		{false, "import: 50 of 200 commands, 50/s, 10 of them done before, 2 retries (no\uFFFDroute)\n"},
	} {
		said := newTranscript()
		p := (&app{stderr: said, stderrTTY: c.rewrites}).progress("import")
		p.show(report)
		p.end()
		if got, _ := said.read(); got != c.want {
			t.Errorf("progress = %q, want %q", got, c.want)
		}
	}
}

func TestAmountsHaveAUnit(t *testing.T) {
	t.Parallel()
	for minor, want := range map[int64]string{0: "0.00 GBP", 5: "0.05 GBP", -99999: "-999.99 GBP", 100000: "1,000.00 GBP", 1234567890: "12,345,678.90 GBP"} {
		if got := amount(minor, "GBP"); got != want {
			t.Errorf("amount(%d) = %s, want %s", minor, got, want)
		}
	}
}

func openStore(t *testing.T, db *pgtest.DB) *pgstore.Store {
	t.Helper()
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeStore(context.WithoutCancel(t.Context()), store); err != nil {
			t.Error(err)
		}
	})
	return store
}

func appendTo(t *testing.T, store *pgstore.Store, stream, eventType string) {
	t.Helper()
	appendEvents(t, store, eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{{Type: eventType, Data: []byte("{}")}}})
}

func appendNotes(t *testing.T, store *pgstore.Store, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		data := fmt.Sprintf(`{"N":%d}`, n)
		appendEvents(t, store, eventstore.StreamAppend{Stream: "note-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "Noted", Data: []byte(data)}}})
	}
}

func appendEvents(t *testing.T, store *pgstore.Store, a eventstore.StreamAppend) {
	t.Helper()
	if _, err := store.Append(t.Context(), a, eventstore.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
}
