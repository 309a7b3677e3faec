package trials

import (
	"bytes"
	"fmt"
	"os"
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

// Replace puts a table between the comments that mark its place in a page.
func Replace(page, place string, table []byte) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- begin: %s -->\n", place), fmt.Sprintf("<!-- end: %s -->\n", place)
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !ok || !ended {
		return fmt.Errorf("%s has no place for a table, between lines %q and %q", page, begin, end)
	}
	return os.WriteFile(page, bytes.Join([][]byte{before, []byte(begin), table, []byte(end), after}, nil), 0o644)
}
