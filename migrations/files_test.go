package migrations_test

import (
	"io/fs"
	"regexp"
	"testing"

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
	own := regexp.MustCompile(`(?im)^\s*(begin|commit|end|rollback|abort)( work| transaction)?\s*;|^\s*(start transaction|savepoint)\b|\bconcurrently\b|^\s*vacuum\b`)
	block := regexp.MustCompile(`(?s)\$\$.*?\$\$|--[^\n]*`)
	for name, sql := range contents(t) {
		if found := own.FindString(block.ReplaceAllString(sql, "")); found != "" {
			t.Errorf("%s manages transactions: %q", name, found)
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
