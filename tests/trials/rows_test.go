package trials

import (
	"os"
	"strings"
	"testing"

	"github.com/57528e99/recount/internal/failpoint"
)

// page has the tables that make plants writes.
const page = "../../docs/reliability.md"

// TestEveryFaultHasItsRow finds a fault that was added, renamed or taken out since the tables were
// written, and one that nothing has caught.
func TestEveryFaultHasItsRow(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for place, faults := range map[string][]failpoint.FaultInfo{TablePlace: failpoint.Faults(), RandomTablePlace: Randomly()} {
		rows := rowsOf(string(text), place)
		for _, f := range faults {
			n := len(rows[f.Name])
			if n != 1 {
				t.Errorf("the table of %s has %d rows for %s, want one: make plants", place, n, f.Name)
			}
			delete(rows, f.Name)
		}
		for name := range rows {
			t.Errorf("the table of %s has a row for %s, which is none of its faults: make plants", place, name)
		}
	}
	if strings.Contains(string(text), caughtByNothing) {
		t.Errorf("%s has a fault that is caught by nothing", page)
	}
}

// rowsOf returns the rows of the table at a place of a page, by fault.
func rowsOf(text, place string) map[failpoint.Fault][]string {
	_, text, _ = strings.Cut(text, "<!-- begin: "+place+" -->\n")
	table, _, _ := strings.Cut(text, "<!-- end: "+place+" -->\n")
	rows := make(map[failpoint.Fault][]string)
	for line := range strings.Lines(table) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			rows[failpoint.Fault(name)] = append(rows[failpoint.Fault(name)], line)
		}
	}
	return rows
}

func TestRowsAreFoundAtTheirPlace(t *testing.T) {
	t.Parallel()
	text := "| `before` |\n<!-- begin: here -->\n" + string(Table([]Result{
		{Fault: failpoint.FaultInfo{Name: "one"}, Rule: "r", Clean: true}, {Fault: failpoint.FaultInfo{Name: "two"}}, {Fault: failpoint.FaultInfo{Name: "two"}},
	})) + "<!-- end: here -->\n| `after` |\n"
	rows := rowsOf(text, "here")
	if len(rows) != 2 || len(rows["one"]) != 1 || len(rows["two"]) != 2 {
		t.Errorf("rows are %q", rows)
	}
	if rows := rowsOf(text, "elsewhere"); len(rows) != 0 {
		t.Errorf("a place that is not there has rows %q", rows)
	}
}
