package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/projections"
)

// TestAnotherAppsLogIsLeftAlone: every command that works on projections or snapshots says whose
// the log is, and makes nothing there, until the shop has joined it on purpose.
func TestAnotherAppsLogIsLeftAlone(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	codec, err := eventstore.NewCodec(eventstore.TypeOf[noted]("Noted", 1))
	if err != nil {
		t.Fatal(err)
	}
	fold := projections.NewFold[string, noted](projections.Table{Name: "notes", Version: 1})
	projections.Upsert(fold, projections.ByID, func(row *noted, e noted, _ projections.Recorded) error { *row = e; return nil })
	runner, err := projections.NewRunner(projections.Config{App: "bank", Pool: db.Pool, Store: openStore(t, db), Codec: codec}, fold)
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := runner.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"serve --listen 127.0.0.1:0 --admin off", "serve --roles api --listen 127.0.0.1:0 --admin off",
		"projections ls", "projections rebuild --all", "projections drop notes --yes", "snapshots rebuild", "snapshots ls", "snapshots purge --yes",
	} {
		said := newTranscript()
		a := program(cli.Program{Stdin: strings.NewReader(""), Stdout: said, Stderr: said, Getenv: func(string) string { return "" }})
		code := a.Run(t.Context(), append(strings.Fields(command), "--database", db.DSN))
		text, _ := said.read()
		if code != cli.ExitConflict || !strings.Contains(text, `belongs to app "bank", this program is app "shop"`) || !strings.Contains(text, "--adopt-log") {
			t.Errorf("recount %s: exit code %d, want %d and whose the log is:\n%s", command, code, cli.ExitConflict, text)
		}
	}

	server, url := startServe(t, db, "--adopt-log")
	placeAndRead(t, url, url, "1")
	if got := call(t, "DELETE", url+"/v1/projections/notes", ""); got.status != http.StatusConflict || !strings.Contains(got.body, "projection-of-another-app") {
		t.Errorf("DELETE of the bank's projection = %d %s, want 409 projection-of-another-app", got.status, got.body)
	}
	server.stopGently(t)
	text := recount(t, db, cli.ExitOK, "projections", "ls", "--all")
	if !strings.Contains(text, "orders") || strings.Contains(text, "notes") {
		t.Errorf("projections ls --all shows\n%s\nwant the shop's alone", text)
	}
}
