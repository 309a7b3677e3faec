package chaos

import (
	"cmp"
	"fmt"
	"os"
	"strings"
)

// The marks between which WriteInto puts a report.
const (
	markBegin = "<!-- last long run: written by make chaos-long -->"
	markEnd   = "<!-- end of last long run -->"
)

// Markdown returns the report for a page.
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
		fmt.Fprintf(&b, "- Violation of \"%s\": %.300s\n", v.Rule, strings.ReplaceAll(v.Text, "\n", " "))
	}
	return b.String()
}

// WriteInto puts the report into a page, between the marks that it has for it.
func (rep *Report) WriteInto(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(page), markBegin)
	_, after, ends := strings.Cut(rest, markEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the report: it needs the lines %s and %s", path, markBegin, markEnd)
	}
	return os.WriteFile(path, []byte(before+markBegin+"\n"+rep.Markdown()+markEnd+after), 0o644)
}
