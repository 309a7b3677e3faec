package trials

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/mutants"
)

// TestMutantsAreCaught builds some mutants whose scenarios are short: if it passes, the rules and
// the scenarios can fail.
func TestMutantsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds programs and runs them")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	some, err := mutants.Named("cache-survives", "blind-retry", "receipt-apart", "checkpoint-apart")
	if err != nil {
		t.Fatal(err)
	}
	trials, err := Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.New(t).DSN
	for _, m := range some {
		r, err := trials.Run(ctx, server, m)
		if err != nil {
			t.Fatal(err)
		}
		if t.Log(r); !r.OK() {
			t.Errorf("mutant %s was not caught, or something was without it", m.Name)
		}
	}
}

func TestTableTellsWhatWasNotCaught(t *testing.T) {
	t.Parallel()
	m := mutants.Mutant{Patch: mutants.Patch{Name: "some-mutant"}, What: "something is wrong", Rule: "a rule"}
	for _, c := range []struct {
		result Result
		ok     bool
		want   string
	}{
		{Result{Mutant: m, Caught: true, After: 1250 * time.Millisecond, Clean: true}, true, "| `some-mutant` | something is wrong | a rule | 1.2 s |"},
		{Result{Mutant: m, Clean: true}, false, "**nothing**"},
		{Result{Mutant: m, Caught: true}, false, "**also without it**"},
	} {
		if table := string(Table([]Result{c.result})); c.result.OK() != c.ok || !strings.Contains(table, c.want) {
			t.Errorf("OK = %v and the table is %s, want %v and %s", c.result.OK(), table, c.ok, c.want)
		}
	}
}

func TestCaughtReadsWhatTrialsSay(t *testing.T) {
	t.Parallel()
	out := []byte("=== RUN\ncaught\tTestTrials/some-mutant\t1234\ta rule\nFAIL\n")
	if after, ok := caught(out, "a rule"); !ok || after != 1234*time.Millisecond {
		t.Errorf("caught = %v, %v", after, ok)
	}
	if _, ok := caught(out, "another rule"); ok {
		t.Error("a mutant that breaks another rule passes for caught")
	}
}

// TestEveryMutantHasItsRow finds a mutant that was added, renamed or taken out since make mutants
// wrote the tables, and one that nothing has caught.
func TestEveryMutantHasItsRow(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := mutants.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{TablePlace, RandomTablePlace} {
		var want []string
		for _, m := range all {
			if place == TablePlace || m.Harness {
				want = append(want, m.Name)
			}
		}
		if got := rowsOf(string(text), place); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("the table of %s has the rows\n%q, want\n%q: make mutants", place, got, want)
		}
	}
	if strings.Contains(string(text), caughtByNothing) {
		t.Error("docs/reliability.md has a mutant that is caught by nothing")
	}
}

// rowsOf returns what the rows of the table at a place of a page are about.
func rowsOf(text, place string) (names []string) {
	_, text, _ = strings.Cut(text, "<!-- begin: "+place+" -->\n")
	table, _, _ := strings.Cut(text, "<!-- end: "+place+" -->\n")
	for line := range strings.Lines(table) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			names = append(names, name)
		}
	}
	return names
}
