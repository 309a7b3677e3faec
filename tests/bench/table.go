package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// parts divides a report by question. The ratios of a part are without the question in their names.
func (r Report) parts() (list []Report) {
	for i, result := range r.Results {
		if i == 0 || result.Question != r.Results[i-1].Question {
			part := r
			part.Results, part.Ratios = nil, make(map[string]float64)
			list = append(list, part)
		}
		part := &list[len(list)-1]
		part.Results = append(part.Results, result)
	}
	for _, part := range list {
		for name, ratio := range r.Ratios {
			question, rest, asked := strings.Cut(name, questionEnd)
			if !asked {
				question, rest = "", name
			}
			if question == part.question() {
				part.Ratios[rest] = ratio
			}
		}
	}
	return list
}

// questionEnd is what stands between a question and the rest of the name of a ratio.
const questionEnd = ": "

// question returns the question of a part of a report.
func (r Report) question() string { return r.Results[0].Question }

// asked returns results and ratios as those of a question.
func asked(question string, results []Result, ratios map[string]float64) ([]Result, map[string]float64) {
	named := make(map[string]float64, len(ratios))
	for name, ratio := range ratios {
		named[question+questionEnd+name] = ratio
	}
	for i := range results {
		results[i].Question = question
	}
	return results, named
}

// columns are the heads of a table of the results of one question, row what stands under them.
func (r Report) columns() []string {
	if r.Results[0].Delivery != nil {
		return []string{"callers", "name", "committed", "missed", "%", "twice", "events/s"}
	}
	if r.Results[0].Idle != nil {
		return []string{"callers", "name", "CPU %", "WAL B/s"}
	}
	columns := []string{"callers", "name", unit(r) + "/s", "p50 ms", "p99 ms", "max ms"}
	if r.Results[0].CPU > 0 {
		columns = append(columns, "CPU µs")
	}
	return columns
}

func (row Result) row() []string {
	head := []string{fmt.Sprint(row.Callers), row.Name}
	if d := row.Delivery; d != nil {
		return append(head, grouped(float64(d.Committed)), grouped(float64(d.Missed)), fmt.Sprintf("%.3f", d.missedShare()),
			grouped(float64(d.Twice)), grouped(row.EventsPerSecond))
	}
	if i := row.Idle; i != nil {
		return append(head, fmt.Sprintf("%.2f", i.CPUPercent), grouped(i.WALBytes))
	}
	cells := append(head, grouped(row.EventsPerSecond), fmt.Sprintf("%.2f", row.P50), fmt.Sprintf("%.2f", row.P99), fmt.Sprintf("%.2f", row.Max))
	if row.CPU > 0 {
		cells = append(cells, fmt.Sprintf("%.2f", row.CPU))
	}
	return cells
}

// WriteTable writes the report for people.
func (r Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s\n", r.Machine)
	for _, part := range r.parts() {
		if err := part.writeTable(w); err != nil {
			return err
		}
	}
	return nil
}

func (r Report) writeTable(w io.Writer) error {
	fmt.Fprintln(w)
	if r.question() != "" {
		fmt.Fprintf(w, "%s:\n", r.question())
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Join(r.columns(), "\t")+"\t")
	for _, row := range r.Results {
		fmt.Fprintln(table, strings.Join(row.row(), "\t")+"\t")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, row := range r.Results {
		if row.PeakMemoryMB > 0 {
			fmt.Fprintf(w, "%s: at most %.0f MB of memory\n", row.Name, row.PeakMemoryMB)
		}
	}
	for _, name := range r.ratioNames() {
		if _, err := fmt.Fprintf(w, "%-28s %8.2f\n", name, r.Ratios[name]); err != nil {
			return err
		}
	}
	return nil
}

// ratioNames returns the names of the ratios by kind, then by number of callers.
func (r Report) ratioNames() []string {
	return slices.SortedFunc(maps.Keys(r.Ratios), func(a, b string) int {
		kindA, atA, _ := strings.Cut(a, "@")
		kindB, atB, _ := strings.Cut(b, "@")
		return cmp.Or(strings.Compare(kindA, kindB), cmp.Compare(len(atA), len(atB)), strings.Compare(atA, atB))
	})
}

func callers(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// grouped writes a number without decimals, its digits in groups of three.
func grouped(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
