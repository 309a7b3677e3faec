package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is what a benchmark found.
type Report struct {
	// Bench is the benchmark's name.
	Bench   string   `json:"bench"`
	Machine Machine  `json:"machine"`
	Results []Result `json:"results"`
	// Ratios compare results: "a/b@8" is the rate of a by that of b at 8 callers, "p50 a/b@8" compares
	// latencies.
	Ratios map[string]float64 `json:"ratios"`
}

// Result is what one contender reached with one number of callers.
type Result struct {
	Name    string `json:"name"`
	Callers int    `json:"callers"`
	// EventsPerSecond counts requests where there are no events.
	EventsPerSecond float64 `json:"events_per_second"`
	// P50, P99 and Max are how long one call took, in milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
	// Calls and Events are how many there were in Seconds of measuring.
	Calls   int64   `json:"calls"`
	Events  int64   `json:"events"`
	Seconds float64 `json:"seconds"`
	// Rounds are the events per second of each round, in order.
	Rounds []float64 `json:"rounds"`
	// PeakHeapMB is the largest size of live and not yet collected objects, where it was watched.
	PeakHeapMB float64 `json:"peak_heap_mb,omitempty"`
	// PeakMemoryMB is the most memory that the program had from the system, where it was watched.
	PeakMemoryMB float64 `json:"peak_memory_mb,omitempty"`
}

// rate and median are what ratios compare.
func rate(r Result) float64   { return r.EventsPerSecond }
func median(r Result) float64 { return r.P50 }

// ratios compares one contender with each of the others at the same number of callers. What was not
// measured, or was zero, has no ratio.
func ratios(results []Result, prefix, of string, figure func(Result) float64) map[string]float64 {
	found := make(map[string]float64)
	for _, r := range results {
		if r.Name != of {
			continue
		}
		for _, base := range results {
			if base.Name != of && base.Callers == r.Callers && figure(base) > 0 {
				found[fmt.Sprintf("%s%s/%s@%d", prefix, of, base.Name, r.Callers)] = figure(r) / figure(base)
			}
		}
	}
	return found
}

// WriteJSON writes the report as one line of JSON.
func (r Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteTable writes the report for people.
func (r Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", r.Machine)
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(columns, "callers\tname\tevents/s\tp50 ms\tp99 ms\tmax ms\t")
	for _, row := range r.Results {
		fmt.Fprintf(columns, "%d\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t\n", row.Callers, row.Name, row.EventsPerSecond, row.P50, row.P99, row.Max)
	}
	if err := columns.Flush(); err != nil {
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
