package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
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
		{"no\n", cli.ExitFailure, migrations.Latest(), `it takes the word yes, not "no"`},
		{"y\n", cli.ExitFailure, migrations.Latest(), `it takes the word yes, not "y"`},
		{`"yes` + "\n", cli.ExitFailure, migrations.Latest(), `it takes the word yes, not "\\"yes"; nothing was done`},
		{"", cli.ExitFailure, migrations.Latest(), `it takes the word yes, not ""`},
		{" yes \n", cli.ExitOK, 0, ""},
	} {
		said := newTranscript()
		a := program(cli.Program{Stdin: strings.NewReader(c.answer), Stdout: said, Stderr: said, StdinTTY: true, Getenv: func(string) string { return "" }})
		if code := a.Run(t.Context(), []string{"migrate", "down", "--to", "0", "--database", db.DSN}); code != c.code {
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
	}{{"status", cli.ExitCheckFailed}, {"up", cli.ExitConflict}} {
		said := newTranscript()
		a := program(cli.Program{Stdout: said, Stderr: said, Getenv: func(string) string { return "" }})
		if code := a.Run(t.Context(), []string{"migrate", c.command, "--database", db.DSN}); code != c.code {
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
	a := program(cli.Program{Stdin: strings.NewReader(""), Stdout: data, Stderr: said, Getenv: func(string) string { return "" }})
	code := make(chan int, 1)
	go func() {
		code <- a.Run(ctx, []string{"log", "tail", "-f", "--category", "order", "-o", "json", "--database", db.DSN})
	}()
	data.await(t, `^{"position":1,.*}\n$`, nil)
	appendTo(t, store, "stock-1", "Received")
	appendTo(t, store, "order-1", "Shipped")
	data.await(t, `^{"position":1,.*}\n{"position":3,.*}\n$`, nil)
	cancel(cli.ErrInterrupted)
	if got := <-code; got != cli.ExitInterrupted {
		t.Errorf("exit code %d, want %d", got, cli.ExitInterrupted)
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
		a := program(cli.Program{Stdin: strings.NewReader(""), Stdout: said, Stderr: said, Getenv: func(string) string { return "" }})
		code := a.Run(t.Context(), append([]string{"projections", "--database", db.DSN}, args...))
		text, _ := said.read()
		if code != want {
			t.Fatalf("recount projections %s: exit code %d, want %d:\n%s", args, code, want, text)
		}
		return text
	}
	shows := func(parts ...string) {
		t.Helper()
		until(t, fmt.Sprintf("projections show has %q", parts), func() bool {
			text := run(cli.ExitOK, "show", "notes")
			for _, part := range parts {
				if !strings.Contains(text, part) {
					return false
				}
			}
			return true
		})
	}
	shows("failed", "on event", "Noted in note-1, position 2", "error: ", "unlucky\n", "hint: ", "recount projections skip notes")
	if text := run(cli.ExitOK, "show", "notes", "-o", "json"); !strings.Contains(text, `"reason":"event-not-applied"`) {
		t.Errorf("show -o json does not say the reason:\n%s", text)
	}
	// Earlier versions wrote the sentence.
	if _, err := db.Pool.Exec(t.Context(), `UPDATE recount.projection_generations SET failure_hint = 'so {subject} was said'`); err != nil {
		t.Fatal(err)
	}
	shows("hint: so {subject} was said\n")
	if text := run(cli.ExitConflict, "skip", "notes", "--position", "1", "--reason", "the wrong one"); !strings.Contains(text, "it stopped at 2\n") {
		t.Errorf("skip of another position printed:\n%s", text)
	}
	if text := run(cli.ExitOK, "skip", "notes", "--position", "2", "--reason", "a test"); !strings.Contains(text, "a test") {
		t.Errorf("skip printed:\n%s", text)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	shows("running", "SKIPPED", "a test", me.Username)
	if text := run(cli.ExitOK, "show", "notes", "-o", "json"); !strings.Contains(text, `"skips":[{"projection":"notes","generation":1,"position":2,`) {
		t.Errorf("show -o json printed:\n%s", text)
	}
	run(cli.ExitConflict, "skip", "notes", "--reason", "again")
	if text := run(cli.ExitOK, "pause", "notes"); text != "notes is paused\n" {
		t.Errorf("pause printed:\n%s", text)
	}
	shows("paused")
	if text := run(cli.ExitOK, "resume", "notes", "-o", "json"); text != `{"name":"notes","paused":false}`+"\n" {
		t.Errorf("resume -o json printed:\n%s", text)
	}
	shows("running")
}

func openStore(t *testing.T, db *pgtest.DB) *pgstore.Store {
	t.Helper()
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.WithoutCancel(t.Context())); err != nil {
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
