package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/57528e99/recount/tests/machine"
)

// Page is where Render's page belongs, relative to the folder of the documentation.
const Page = "benchmarks.md"

// ReadAll reads reports that WriteJSON wrote, one after the other.
func ReadAll(from io.Reader) (reports []Report, _ error) {
	d := json.NewDecoder(from)
	for {
		var r Report
		err := d.Decode(&r)
		switch {
		case errors.Is(err, io.EOF):
			return reports, nil
		case err != nil:
			return nil, fmt.Errorf("read reports: %w", err)
		case r.Bench == "" || len(r.Results) == 0:
			return nil, errors.New("read reports: one has no bench or no results")
		}
		reports = append(reports, r)
	}
}

// Render makes a page in Markdown of reports.
func Render(reports []Report) []byte {
	var page bytes.Buffer
	page.WriteString(preface)
	for _, m := range machines(reports) {
		writeMachine(&page, m)
	}
	for _, r := range reports {
		writeHeading(&page, r)
		for _, part := range r.parts() {
			writePart(&page, part)
		}
	}
	return page.Bytes()
}

const preface = `# Benchmarks

This page is written by ` + "`make bench`" + ` and ` + "`make bench-compare`" + `, which measure, and ` + "`recount bench report`" + `, which writes. Do not
edit it. What was measured is in [benchmarks/reports.json](benchmarks/reports.json).

Contenders work in turns on the same PostgreSQL, several rounds each, so that the ratios hold on other machines too. What is
no part of Recount is a baseline, the plainest way to do the same, or less, in [tests/bench](../tests/bench/doc.go); or it is another
event store, in [tests/bench/peers](../tests/bench/peers/doc.go). A ratio ` + "`a/b@8`" + ` is the rate of a by that of b at 8 callers.
CPU µs is the time that the measuring process, clients and all, was on processors, for each event.

What is not claimed: that a figure holds on another machine, or when server and program have one each; that a store which is faster or
slower here is so with other events, settings or versions; that an event store can be judged by its speed. Clients run on the machine of
the server and take their share of it. Each figure is of one run. Where the load average was above the number of cores, other work ran
meanwhile: trust the ratios there, and no rate.
`

// machines returns the machines that reports come from, once each, whatever was measured on them.
func machines(reports []Report) (list []machine.Machine) {
	seen := make(map[string]bool)
	for _, r := range reports {
		m := r.Machine
		if key := m.Hardware() + m.Software(); !seen[key] {
			seen[key] = true
			list = append(list, m)
		}
	}
	return list
}

func writeMachine(b *bytes.Buffer, m machine.Machine) {
	fmt.Fprintf(b, "\n| | |\n|---|---|\n| Hardware | %s |\n| Software | %s |\n", m.Hardware(), m.Software())
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(m.Settings)) {
		settings = append(settings, "`"+name+" = "+m.Settings[name]+"`")
	}
	fmt.Fprintf(b, "| PostgreSQL | %s |\n", strings.Join(settings, ", "))
}

// questions are the titles of benchmarks.
var questions = map[string]string{
	"append":    "Appending",
	"read":      "Reading the whole log",
	"load":      "Loading one stream",
	"project":   "Following the log",
	"rebuild":   "Building read models anew",
	"http":      "The shop over HTTP",
	"deliver":   "Delivering to subscriptions",
	"pull":      "Pulling events",
	"window":    "Counting events in windows",
	"archive":   "Archives",
	"sagas":     "Sagas",
	"match":     "Finding the rules that an event matches",
	"transform": "Transforming events",
	"compare":   "Beside other event stores",
}

// title says what was measured: the question, and how its command differs from the plain one.
func title(r Report) string {
	question := cmp.Or(questions[r.Bench], r.Bench)
	if options := r.options(); options != "" {
		return question + " (" + options + ")"
	}
	return question
}

// options are what the command line has behind the benchmark's name, without dashes.
func (r Report) options() string {
	_, options, _ := strings.Cut(r.Machine.Command, "bench "+r.Bench)
	return strings.TrimSpace(strings.ReplaceAll(options, "--", ""))
}

// unit is what rates count.
func unit(r Report) string {
	switch {
	case r.Bench == "http":
		return "requests"
	case r.Bench == "sagas":
		return cmp.Or(sagaUnits[r.question()], "timers")
	}
	return "events"
}

func writeHeading(b *bytes.Buffer, r Report) {
	fmt.Fprintf(b, "\n## %s\n\n`%s`, %s, load average before it %.1f\n", title(r), r.Machine.Command, r.Machine.At.Format("2006-01-02 15:04 MST"), r.Machine.Load)
	if len(r.Notes) > 0 {
		fmt.Fprintf(b, "\n- %s\n", strings.Join(r.Notes, "\n- "))
	}
}

func writePart(b *bytes.Buffer, r Report) {
	if question := r.question(); question != "" {
		_, first := utf8.DecodeRuneInString(question)
		fmt.Fprintf(b, "\n### %s%s\n", strings.ToUpper(question[:first]), question[first:])
	}
	b.WriteByte('\n')
	columns := r.columns()
	columns[1] = "" // names need no heading
	fmt.Fprintf(b, "| %s |\n|---:|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-2))
	for _, row := range r.Results {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row.row(), " | "))
	}
	for _, row := range r.Results {
		if row.PeakHeapMB > 0 {
			fmt.Fprintf(b, "\n%s at %s: at most %.0f MB on the heap.\n", row.Name, callers(row.Callers), row.PeakHeapMB)
		}
		if row.PeakMemoryMB > 0 {
			fmt.Fprintf(b, "\n%s: at most %.0f MB of memory in the process.\n", row.Name, row.PeakMemoryMB)
		}
	}
	if len(r.Ratios) == 0 {
		return
	}
	b.WriteString("\n| ratio | |\n|---|---:|\n")
	for _, name := range r.ratioNames() {
		fmt.Fprintf(b, "| %s | %.2f |\n", name, r.Ratios[name])
	}
}
