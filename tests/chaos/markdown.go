package chaos

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strings"
)

// Place is where the report of a long run belongs in docs/reliability.md: see Replace.
const Place = "last long run"

// Markdown returns the report, for people and for a page.
func (rep *Report) Markdown() string {
	var b strings.Builder
	m := rep.Machine
	fmt.Fprintf(&b, "%s: `%s`\n\n", m.At.Format("2006-01-02 15:04 MST"), m.Command)
	fmt.Fprintf(&b, "Seed %d, %.0f s in all; the same plan again: `%s`\n\n", rep.Seed, rep.Seconds.Total, rep.Again)
	fmt.Fprintf(&b, "On %s; %s, PostgreSQL %s (fsync %s, synchronous_commit %s), %s; commit %s.\n\n", m.Hardware(), m.Go, m.Postgres,
		m.Settings["fsync"], m.Settings["synchronous_commit"], m.OS, cmp.Or(rep.Commit, "not known"))
	fmt.Fprintf(&b, "%d faults, %d events acknowledged by %d attempts to append, %d deliveries. Violations: %d.\n\n",
		rep.Total, rep.Acked, rep.Appends, rep.Batches, len(rep.Violations))
	fmt.Fprintf(&b, "After the last fault: %s.\n\n", rep.Recovery)
	b.WriteString("| Fault | planned | happened |\n|---|---:|---:|\n")
	for _, f := range rep.Faults {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", f.Kind, f.Planned, f.Happened)
	}
	b.WriteString("\n| Check | of | violations |\n|---|---:|---:|\n")
	for _, c := range rep.Checks {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", c.Name, c.Checked, c.Violations)
	}
	b.WriteString("\n")
	for _, l := range rep.Losses {
		fmt.Fprintf(&b, "- %s: %d acknowledged events lost on purpose, %d appends refused until the log was adopted, %d readers told.\n",
			l.Name, l.Lost, l.Refused, l.Told)
	}
	for _, what := range rep.LeftOut {
		fmt.Fprintf(&b, "- Left out: %s.\n", what)
	}
	for _, v := range rep.Violations {
		fmt.Fprintf(&b, "- Violation of %q: %.300s\n", v.Rule, strings.ReplaceAll(v.Text, "\n", " "))
	}
	if rep.Dir != "" {
		fmt.Fprintf(&b, "\nHistories and logs are in %s.\n", rep.Dir)
	}
	return b.String()
}

// Replace puts a text between the comments that mark its place in a page.
func Replace(page, place string, text []byte) error {
	was, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- begin: %s -->\n", place), fmt.Sprintf("<!-- end: %s -->\n", place)
	before, rest, ok := bytes.Cut(was, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !ok || !ended {
		return fmt.Errorf("%s has no place for it, between lines %q and %q", page, begin, end)
	}
	return os.WriteFile(page, bytes.Join([][]byte{before, []byte(begin), text, []byte(end), after}, nil), 0o644)
}
