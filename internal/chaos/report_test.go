package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAReportTakesThePlaceOfTheOneBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	page := "# Before\n" + markBegin + "\nan old report\n" + markEnd + "\n# After\n"
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	rep := Report{Seed: 42, Total: 3, Faults: []Injected{{Kill, 4, 3}}, Checks: []Check{{"gapless", 10, 1}},
		Violations: []Violation{{"gapless positions", "position 7 is missing"}}}
	for range 2 { // the second time in the place of the first
		if err := rep.WriteInto(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Before\n", "# After\n", "Seed 42", "| kill a process | 4 | 3 |", "| gapless | 10 | 1 |", "position 7 is missing"} {
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
	if err := rep.WriteInto(path); err == nil {
		t.Error("a page without marks takes a report")
	}
}

func TestAReportSaysWhatWasBrokenAndHowToSeeItAgain(t *testing.T) {
	t.Parallel()
	c := Config{Seed: 42, Env: []string{"RECOUNT_PLANT=gap"}}
	rep := Report{Seed: 42, Again: c.command(), Violations: []Violation{{"gapless positions", "position 7 is missing"}}, Dir: "kept"}
	var b strings.Builder
	if err := rep.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"VIOLATION of \"gapless positions\": position 7 is missing", "kept", "RECOUNT_PLANT=gap", "--seed 42"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &b)
		}
	}
}
