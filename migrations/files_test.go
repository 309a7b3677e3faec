package migrations_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4/source"

	"github.com/57528e99/recount/migrations"
)

// Path and Down count on versions without gaps, and each way must have its way back.
func TestFilesAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	seen := map[source.Direction]map[uint]bool{source.Up: {}, source.Down: {}}
	for name := range contents(t) {
		m, err := source.DefaultParse(name)
		if err != nil {
			t.Errorf("%s is not named NNNN_name.up.sql or NNNN_name.down.sql", name)
			continue
		}
		if seen[m.Direction][m.Version] {
			t.Errorf("version %d has two %s files", m.Version, m.Direction)
		}
		seen[m.Direction][m.Version] = true
	}
	for direction, versions := range seen {
		for v := uint(1); v <= migrations.Latest(); v++ {
			if !versions[v] {
				t.Errorf("version %d has no %s file", v, direction)
			}
		}
	}
}

// The driver takes a file that the server refused for one that left nothing behind.
func TestFilesAreOneTransaction(t *testing.T) {
	t.Parallel()
	if err := migrations.CheckFiles(migrations.OfLog()); err != nil {
		t.Error(err)
	}
	for _, sql := range []string{
		"CREATE INDEX CONCURRENTLY i ON t (a)",
		"DROP INDEX CONCURRENTLY IF EXISTS i;",
		"REINDEX (VERBOSE) TABLE CONCURRENTLY t",
		"ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
		"VACUUM t",
		"VACUUM",
		"-- both\nBEGIN;\nCREATE TABLE t ();\nCOMMIT;\n",
		"CREATE TABLE t (); COMMIT",
		"SELECT 'it''s $$'; end transaction; SELECT '$$'",
		"START TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1",
	} {
		if _, err := migrations.OfModule("bank", "notes", fstest.MapFS{"0001_a.up.sql": {Data: []byte(sql)}}); err == nil || !strings.Contains(err.Error(), "0001_a.up.sql says") {
			t.Errorf("%q: %v, want that it is refused", sql, err)
		}
	}
	for _, sql := range []string{
		"CREATE TABLE commits (vacuum text); -- CREATE INDEX CONCURRENTLY\n/* COMMIT; */ SELECT '; COMMIT;', E'\\'; COMMIT;', \"; COMMIT;\"",
		"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$\nBEGIN\n  x := $$; COMMIT; $$;\nEND;\n$f$; DO $$ BEGIN\nEND; $$",
		"CREATE FUNCTION g() RETURNS int BEGIN ATOMIC\n SELECT 1;\nEND;",
		"UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2\nEND;",
		"REFRESH MATERIALIZED VIEW CONCURRENTLY v",
	} {
		if _, err := migrations.OfModule("bank", "notes", fstest.MapFS{"0001_a.up.sql": {Data: []byte(sql)}}); err != nil {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

func TestFilesNameNoSchema(t *testing.T) {
	t.Parallel()
	for name, sql := range contents(t) {
		if found := regexp.MustCompile(`(?i)\b(recount|public)\.\w+|\bsearch_path\s*(=|to)`).FindString(sql); found != "" {
			t.Errorf("%s says %q: names are found through the search path that the migration is run with", name, found)
		}
	}
}

func contents(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(migrations.Files, "*")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range names {
		b, err := fs.ReadFile(migrations.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(b)
	}
	return out
}
