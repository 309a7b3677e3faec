package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
)

// TestAllProjectionsArePausedAndResumed: one that refuses is named and does not stop the others.
func TestAllProjectionsArePausedAndResumed(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	server, url := startServe(t, db)
	takesAll(t, db, server)
	execute(t, db, `CREATE FUNCTION recount.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$`)
	for _, where := range [][]string{{"--server", url}, {"--database", db.DSN}} {
		stdout, _ := runs(t, cli.ExitOK, slices.Concat([]string{"projections", "pause", "--all"}, where)...)
		if n := strings.Count(stdout, " is paused\n"); n != 8 {
			t.Errorf("pause --all said %q, want eight projections to be paused", stdout)
		}
		if stdout, _ = runs(t, cli.ExitOK, slices.Concat([]string{"projections", "ls"}, where)...); strings.Count(stdout, " paused ") != 8 {
			t.Errorf("ls says\n%swant eight projections to be paused", stdout)
		}
		execute(t, db, `CREATE TRIGGER refuse BEFORE UPDATE OF desired ON recount.projections
			FOR EACH ROW WHEN (NEW.name = 'orders') EXECUTE FUNCTION recount.refuse()`)
		stdout, stderr := runs(t, cli.ExitFailure, slices.Concat([]string{"projections", "resume", "--all"}, where)...)
		if strings.Count(stdout, " is resumed\n") != 7 || strings.Contains(stdout, "orders is") ||
			!strings.Contains(stderr, "error: resume failed for 1 of 8 projections: orders\n") {
			t.Errorf("resume --all said %q and %q, want all but orders to be resumed", stdout, stderr)
		}
		execute(t, db, `DROP TRIGGER refuse ON recount.projections`)
		if stdout, _ = runs(t, cli.ExitOK, slices.Concat([]string{"projections", "resume", "--all"}, where)...); strings.Count(stdout, " is resumed\n") != 8 {
			t.Errorf("resume --all said %q, want eight projections to be resumed", stdout)
		}
	}
	placeAndRead(t, url, url, "1")
	server.stopGently(t)
}

// TestDropRemovesWhatNoProgramHas: a projection that the program does not have is listed with --all
// only, and nothing is left of it after drop; what a process runs stays.
func TestDropRemovesWhatNoProgramHas(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	server, url := startServe(t, db)
	takesAll(t, db, server)
	for _, where := range [][]string{{"--server", url}, {"--database", db.DSN}} {
		// It is of a program before this one.
		execute(t, db, `INSERT INTO recount.projections SELECT (jsonb_populate_record(p, '{"name": "sales_by_week"}')).*
			FROM recount.projections p WHERE name = 'orders'`)
		execute(t, db, `INSERT INTO recount.projection_generations
			SELECT (jsonb_populate_record(g, '{"projection": "sales_by_week", "table_name": "sales_by_week_1", "owner": null}')).*
			FROM recount.projection_generations g WHERE projection = 'orders'`)
		execute(t, db, `CREATE TABLE recount.sales_by_week_1 (week text)`)
		execute(t, db, `CREATE VIEW recount.sales_by_week AS SELECT * FROM recount.sales_by_week_1`)

		for flag, listed := range map[string]bool{"--all=false": false, "--all": true} {
			stdout, _ := runs(t, cli.ExitOK, slices.Concat([]string{"projections", "ls", flag}, where)...)
			if strings.Contains(stdout, "sales_by_week") != listed || !strings.Contains(stdout, "orders ") {
				t.Errorf("ls %s says\n%swant sales_by_week: %v", flag, stdout, listed)
			}
		}
		_, stderr := runs(t, cli.ExitConflict, slices.Concat([]string{"projections", "drop", "orders", "--yes"}, where)...)
		if !strings.Contains(stderr, "runs generation 1") || !strings.Contains(stderr, "hint: recount projections ls --all") {
			t.Errorf("drop of what a process runs said %q", stderr)
		}
		runs(t, cli.ExitNotFound, slices.Concat([]string{"projections", "drop", "sales_by_week", "--version", "7", "--yes"}, where)...)
		_, stderr = runs(t, cli.ExitUsage, slices.Concat([]string{"projections", "drop", "sales_by_week"}, where)...)
		if !strings.Contains(stderr, "sales_by_week with all its rows") {
			t.Errorf("drop without --yes, and nobody to ask, said %q", stderr)
		}
		stdout, _ := runs(t, cli.ExitOK, slices.Concat([]string{"projections", "drop", "sales_by_week", "--yes"}, where)...)
		if stdout != "sales_by_week: generations [1] are removed\n" {
			t.Errorf("drop said %q", stdout)
		}
		var left int
		err := db.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM recount.projections WHERE name = 'sales_by_week')
			+ (SELECT count(*) FROM pg_class WHERE relname LIKE 'sales_by_week%')`).Scan(&left)
		if err != nil || left != 0 {
			t.Errorf("%d things are left of it, %v; want none", left, err)
		}
	}
	placeAndRead(t, url, url, "1")
	server.stopGently(t)
}

// execute runs a statement.
func execute(t *testing.T, db *pgtest.DB, sql string) {
	t.Helper()
	if _, err := db.Pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
