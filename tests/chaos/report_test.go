package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/tests/machine"
)

func TestAReportTakesThePlaceOfTheOneBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	page := "# Before\n" + "<!-- begin: " + Place + " -->" + "\nan old report\n<!-- end: " + Place + " -->" + "\n# After\n"
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	rep := Report{Seed: 42, Total: 3, Commit: "abcdef123456", Recovery: Recovery{0.4, map[string]float64{"reader-1": 1.2, "reader-2": 0.1}},
		Machine: machine.Machine{At: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Command: "chaos --the-command", Cores: 7, MemoryBytes: 5e9,
			Go: "go1.99", Postgres: "15.77", Settings: map[string]string{"fsync": "off"}},
		Faults: []Injected{{Kill, 4, 3}}, Checks: []Check{{"gapless", 10, 1}},
		Violations: []Violation{{"gapless positions", "position 7 is missing"}}}
	for range 2 { // the second time in the place of the first
		if err := Replace(path, Place, []byte(rep.Markdown())); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Before\n", "# After\n", "Seed 42", "2026-02-03 04:05 UTC: `chaos --the-command`", "7 cores, 5 GB of memory; go1.99, PostgreSQL 15.77 (fsync off",
		"commit abcdef123456", "a fresh append in 0.4s, everybody at the head in 1.2s (last: reader-1)", "| kill a process | 4 | 3 |", "| gapless | 10 | 1 |", "position 7 is missing"} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("the page has %q %d times, want once:\n%s", want, strings.Count(string(text), want), text)
		}
	}
	if strings.Contains(string(text), "an old report") {
		t.Error("the old report is still there")
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, Place, []byte(rep.Markdown())); err == nil {
		t.Error("a page without marks takes a report")
	}
}

func TestAReportSaysWhatWasBrokenAndHowToSeeItAgain(t *testing.T) {
	t.Parallel()
	c := Config{Seed: 42, Mutant: "gap-ignored"}
	rep := Report{Seed: 42, Again: c.command(), Violations: []Violation{{"gapless positions", "position 7 is missing"}}, Dir: "kept"}
	text := rep.Markdown()
	for _, want := range []string{`Violation of "gapless positions": position 7 is missing`, "are in kept", "--mutant gap-ignored", "--seed 42"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

func TestRecoveryNamesWhoIsNeverBack(t *testing.T) {
	t.Parallel()
	r := Recovery{-1, map[string]float64{"reader-1": 40, "reader-2": -1, "reader-3": 41}}
	if want := "a fresh append not in time, everybody at the head not in time (last: reader-2)"; r.String() != want {
		t.Errorf("it reads %q, want %q", r, want)
	}
}
