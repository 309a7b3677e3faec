package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/internal/pgtest"
)

// TestAnOldDatabaseIsMigratedAndGoesOn takes a database of the three migrations of before 0.1.0, as
// pg_dump wrote it while the program of then was serving it: 924 events of orders, stock and
// returns, a rebuild with the generation that it replaced, snapshots, receipts, one event that is
// skipped and one on which the orders have stopped.
func TestAnOldDatabaseIsMigratedAndGoesOn(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	load(t, db, "testdata/schema3.sql.gz")
	pglog.CheckAtEnd(t, db.Pool, db.Schema)
	recount(t, db, cli.ExitOK, "migrate", "up")
	// The dump is on another server now.
	recount(t, db, cli.ExitOK, "db", "adopt", "--yes")

	server, url := startServe(t, db)
	defer server.stopGently(t)
	recount(t, db, cli.ExitOK, "projections", "skip", "orders", "--reason", "imported by mistake")
	placeAndRead(t, url, url, "241")
	for _, name := range []string{"orders", "customer_history", "stock_levels", "sales_by_country", "sales_by_sku"} {
		recount(t, db, cli.ExitOK, "projections", "verify", name)
	}
	recount(t, db, cli.ExitOK, "projections", "rollback", "sales_by_sku")
	if got := call(t, "GET", url+"/v1/orders/240", ""); got.status != http.StatusOK || !strings.Contains(got.body, `"cancelled"`) {
		t.Errorf("GET /v1/orders/240 = %d %s, want a cancelled order", got.status, got.body)
	}
	reserved := call(t, "POST", url+"/v1/stock/TEA-1/reserve", `{"order_id":"241","quantity":1}`)
	if reserved.status != http.StatusOK {
		t.Errorf("POST /v1/stock/TEA-1/reserve = %d %s, want 200", reserved.status, reserved.body)
	}
}

// load runs a gzipped file of SQL.
func load(t *testing.T, db *pgtest.DB, name string) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	sql, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.PgConn().Exec(t.Context(), string(sql)).ReadAll(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// recount runs a command on a database, and wants it to end with a code.
func recount(t *testing.T, db *pgtest.DB, want int, args ...string) (stdout string) {
	t.Helper()
	stdout, _ = runs(t, want, append(args, "--database", db.DSN)...)
	return stdout
}

// runs runs a command, and wants it to end with a code.
func runs(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	out, said := newTranscript(), newTranscript()
	a := program(cli.Program{Stdout: out, Stderr: said, Getenv: func(string) string { return "" }})
	code := a.Run(t.Context(), args)
	stdout, _ = out.read()
	stderr, _ = said.read()
	if code != want {
		t.Fatalf("recount %s: exit code %d, want %d: %s", strings.Join(args, " "), code, want, stderr)
	}
	return stdout, stderr
}
