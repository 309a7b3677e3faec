package trials

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgtest"
)

// TestPlantedFaultsAreCaught plants some faults whose scenarios are short: if it passes, the rules and
// the scenarios can fail.
func TestPlantedFaultsAreCaught(t *testing.T) {
	switch {
	case failpoint.Enabled:
		t.Skip("this is the program that it would run")
	case testing.Short():
		t.Skip("it builds a program and runs it")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	trials, err := Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.New(t).DSN
	for _, name := range []failpoint.Fault{failpoint.CacheSurvives, failpoint.BlindRetry, failpoint.ReceiptApart, failpoint.CheckpointApart} {
		i := slices.IndexFunc(failpoint.Faults(), func(f failpoint.FaultInfo) bool { return f.Name == name })
		r, err := trials.Run(ctx, server, failpoint.Faults()[i])
		if err != nil {
			t.Fatal(err)
		}
		if t.Log(r); !r.OK() {
			t.Errorf("fault %s was not caught, or something was without it", name)
		}
	}
}

func TestTableTellsWhatWasNotCaught(t *testing.T) {
	fault := failpoint.FaultInfo{Name: "some-fault", What: "something is wrong"}
	for _, c := range []struct {
		result Result
		ok     bool
		want   string
	}{
		{Result{Fault: fault, Rule: "a rule", After: 1250 * time.Millisecond, Clean: true}, true, "| `some-fault` | something is wrong | a rule | 1.2 s |"},
		{Result{Fault: fault, Clean: true}, false, "**nothing**"},
		{Result{Fault: fault, Rule: "a rule"}, false, "**also without it**"},
	} {
		if table := string(Table([]Result{c.result})); c.result.OK() != c.ok || !strings.Contains(table, c.want) {
			t.Errorf("OK = %v and the table is %s, want %v and %s", c.result.OK(), table, c.ok, c.want)
		}
	}
}

func TestCaughtReadsWhatTrialsSay(t *testing.T) {
	out := "=== RUN\ncaught\tTestTrials/some-fault\t1234\ta rule\nFAIL\n"
	if rule, after := caught([]byte(out)); rule != "a rule" || after != 1234*time.Millisecond {
		t.Errorf("caught = %q, %v", rule, after)
	}
	if rule, _ := caught([]byte("FAIL\n")); rule != "" {
		t.Errorf("caught = %q of a test that failed otherwise", rule)
	}
}
