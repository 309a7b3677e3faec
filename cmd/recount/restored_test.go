package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestServeOnARestoredLogSaysSoUntilItIsRestartedAfterTheAdoption(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	server, url := startServe(t, db)
	placeAndRead(t, url, url, "1")
	server.stopGently(t)

	restore(t, db)
	server, url = startServe(t, db)
	server.await(t, `"level":"error".*run recount db adopt.*"message":"appends are disabled"`)
	wantNotAdopted(t, url, "run recount db adopt")
	if got := call(t, "GET", url+"/v1/orders/1", ""); got.status != http.StatusOK {
		t.Errorf("GET /v1/orders/1 = %d %s, want the order: reads go on", got.status, got.body)
	}

	said := newTranscript()
	a := program(cli.Program{Stdout: newTranscript(), Stderr: said, Getenv: func(string) string { return "" }})
	if code := a.Run(t.Context(), []string{"db", "adopt", "--yes", "--database", db.DSN}); code != cli.ExitOK {
		text, _ := said.read()
		t.Fatalf("recount db adopt: exit code %d: %s", code, text)
	}
	wantNotAdopted(t, url, "restart it")
	server.stopGently(t)

	server, url = startServe(t, db)
	placeAndRead(t, url, url, "2")
	server.stopGently(t)
}

// restore makes the database look like a copy on another server.
func restore(t *testing.T, db *pgtest.DB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `UPDATE recount.log_incarnations SET system_identifier = 1`); err != nil {
		t.Fatal(err)
	}
}

func wantNotAdopted(t *testing.T, url, reason string) {
	t.Helper()
	if got := call(t, "GET", url+"/readyz?verbose", ""); got.status != http.StatusServiceUnavailable ||
		!strings.Contains(got.body, `"name":"log","ok":false`) || !strings.Contains(got.body, reason) {
		t.Errorf("GET /readyz?verbose = %d %s, want the check log to fail for %q", got.status, got.body, reason)
	}
	body := `{"country":"Norway","currency":"NOK","lines":[{"sku":"TEA","description":"","quantity":2,"unit_price_minor":450}]}`
	got := call(t, "POST", url+"/v1/orders", body)
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, `"log-not-adopted"`) || got.header.Get("Retry-After") != "" {
		t.Errorf("POST /v1/orders = %d %s, want log-not-adopted without Retry-After", got.status, got.body)
	}
}
