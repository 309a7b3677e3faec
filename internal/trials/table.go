package trials

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// String says in a line how it went.
func (r Result) String() string {
	switch {
	case r.Rule == "":
		return fmt.Sprintf("%s: NOT CAUGHT\n%s", r.Fault.Name, r.Output)
	case !r.Clean:
		return fmt.Sprintf("%s: broken without the fault too\n%s", r.Fault.Name, r.Output)
	}
	return fmt.Sprintf("%s: %s, after %s", r.Fault.Name, r.Rule, r.After.Round(time.Millisecond))
}

// Table returns the results as a table in Markdown.
func Table(results []Result) []byte {
	var b bytes.Buffer
	b.WriteString("| Planted | which means | caught by the rule | after |\n|---|---|---|---|\n")
	for _, r := range results {
		rule, after := r.Rule, fmt.Sprintf("%.1f s", r.After.Seconds())
		switch {
		case r.Rule == "":
			rule, after = "**nothing**", ""
		case !r.Clean:
			rule += " (**also without it**)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Fault.Name, r.Fault.What, rule, after)
	}
	return b.Bytes()
}

// The table is between these lines of a page.
const (
	tableBegin = "<!-- planted faults: written by go run ./internal/trials/cmd/plants -o -->\n"
	tableEnd   = "<!-- end of planted faults -->\n"
)

// Replace puts the table of the results in place of that in a page.
func Replace(page string, results []Result) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(tableBegin))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !ended {
		return fmt.Errorf("%s has no place for the table: lines %q and %q", page, tableBegin, tableEnd)
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(tableBegin)
	b.Write(Table(results))
	b.WriteString(tableEnd)
	b.Write(after)
	return os.WriteFile(page, b.Bytes(), 0o644)
}
