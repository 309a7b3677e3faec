package trials

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// String says in a line how it went.
func (r Result) String() string {
	switch {
	case !r.Caught:
		return fmt.Sprintf("%s: NOT CAUGHT\n%s", r.Mutant.Name, r.Output)
	case !r.Clean:
		return fmt.Sprintf("%s: the rule is broken without it too\n%s", r.Mutant.Name, r.Output)
	}
	return fmt.Sprintf("%s: %s, after %s", r.Mutant.Name, r.Mutant.Rule, r.After.Round(time.Millisecond))
}

// String says in a line how it ended.
func (f Found) String() string {
	if len(f.Rules) == 0 {
		return fmt.Sprintf("%s: NOT CAUGHT by the random harness", f.Mutant.Name)
	}
	return fmt.Sprintf("%s: %s, by the random harness in %s", f.Mutant.Name, strings.Join(f.Rules, "; "), f.Took.Round(time.Second))
}

const caughtByNothing = "**nothing**"

// Table returns how trials went as a table in Markdown.
func Table(results []Result) []byte {
	var b bytes.Buffer
	b.WriteString("| Mutant | which means | caught by the rule | after |\n|---|---|---|---|\n")
	for _, r := range results {
		rule, after := r.Mutant.Rule, fmt.Sprintf("%.1f s", r.After.Seconds())
		switch {
		case !r.Caught:
			rule, after = caughtByNothing, ""
		case !r.Clean:
			rule += " (**also without it**)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Mutant.Name, r.Mutant.What, rule, after)
	}
	return b.Bytes()
}

// RandomTable returns how random runs ended as a table in Markdown.
func RandomTable(found []Found) []byte {
	var b bytes.Buffer
	b.WriteString("| Mutant | caught by the rules | in runs | with things broken | after |\n|---|---|---|---|---|\n")
	for _, f := range found {
		rules := strings.Join(f.Rules, "; ")
		if rules == "" {
			rules = caughtByNothing
		}
		fmt.Fprintf(&b, "| `%s` | %s | %d | %d | %.0f s |\n", f.Mutant.Name, rules, f.Runs, f.Broken, f.Took.Seconds())
	}
	return b.Bytes()
}

// The places of the tables in a page.
const (
	TablePlace       = "mutants"
	RandomTablePlace = "mutants, at random"
)
