package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/tests/machine"
)

func sampleReports() []Report {
	m := machine.Machine{CPU: "Some CPU", Cores: 2, MemoryBytes: 8e9, OS: "linux", Go: "go1", Recount: "v1", Postgres: "15", Settings: map[string]string{"fsync": "on"},
		At: time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)}
	appending, hot, reading := m, m, m
	appending.Command, hot.Command, reading.Command = "recount bench append", "recount bench append --streams hot", "recount bench read"
	results := []Result{
		{Name: "recount", Callers: 1, EventsPerSecond: 2000, P50: 0.5, P99: 1, Max: 2},
		{Name: "insert", Callers: 1, EventsPerSecond: 1234567, P50: 0.4, P99: 1, Max: 2},
		{Name: "recount", Callers: 64, EventsPerSecond: 9000, P50: 0.5, P99: 1, Max: 2},
	}
	return []Report{
		{Bench: "append", Machine: appending, Results: results, Ratios: map[string]float64{"recount/insert@1": 0.625}},
		{Bench: "append", Machine: hot, Results: results[:2]},
		{Bench: "append", Machine: hot, Results: results[:1]},
		{Bench: "read", Machine: reading, Results: []Result{{Name: "recount", Callers: 2, EventsPerSecond: 5, PeakHeapMB: 12.3}}},
		comparison(m),
	}
}

// comparison is a report of two questions.
func comparison(m machine.Machine) Report {
	m.Command = "recount bench compare"
	return Report{
		Bench: "compare", Machine: m, Notes: []string{"`other`: another one"},
		Results: []Result{
			{Question: "read all", Name: "recount", Callers: 1, EventsPerSecond: 20, P50: 1, P99: 2, Max: 3},
			{Question: "read all", Name: "other", Callers: 1, EventsPerSecond: 10, P50: 1, P99: 2, Max: 3},
			{Question: "follow", Name: "other", Callers: 16, EventsPerSecond: 7, Delivery: &Delivery{Committed: 4000, Missed: 1000, Twice: 2}},
		},
		Ratios: map[string]float64{"read all: recount/other@1": 2},
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	page := string(Render(sampleReports()))
	for _, line := range []string{
		"| Hardware | Some CPU, 2 cores, 8 GB of memory |",
		"| Software | recount v1, go1, PostgreSQL 15, linux |",
		"| PostgreSQL | `fsync = on` |",
		"## Appending\n",
		"## Appending (streams hot)\n",
		"`recount bench append --streams hot`, 2026-05-01 12:00 UTC",
		"| 1 | insert | 1,234,567 | 0.40 | 1.00 | 2.00 |",
		"| recount/insert@1 | 0.62 |",
		"recount at 2 callers: at most 12 MB on the heap.",
		"## Beside other event stores\n",
		"- `other`: another one\n",
		"### Read all\n",
		"| recount/other@1 | 2.00 |",
		"| callers |  | committed | missed | % | twice | events/s |\n|---:|---|---:|---:|---:|---:|---:|\n| 16 | other | 4,000 | 1,000 | 25.000 | 2 | 7 |\n",
	} {
		if strings.Count(page, line) < 1 {
			t.Errorf("the page lacks %q:\n%s", line, page)
		}
	}
	if n := strings.Count(page, "| Hardware |"); n != 1 {
		t.Errorf("one machine is described %d times", n)
	}
}

func TestQuestionsHaveTheirOwnTables(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := comparison(machine.Machine{}).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	const want = `
read all:
  callers     name  events/s  p50 ms  p99 ms  max ms
        1  recount        20    1.00    2.00    3.00
        1    other        10    1.00    2.00    3.00

recount/other@1                  2.00

follow:
  callers   name  committed  missed       %  twice  events/s
       16  other      4,000   1,000  25.000      2         7

`
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("the tables are\n%s\nwant\n%s", b.String(), want)
	}
}
