package bench

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/57528e99/recount/tests/machine"
)

// Report is what a benchmark found.
type Report struct {
	// Bench is the benchmark's name.
	Bench   string          `json:"bench"`
	Machine machine.Machine `json:"machine"`
	Results []Result        `json:"results"`
	// Ratios compare results: "a/b@8" is the rate of a by that of b at 8 callers, "p50 a/b@8" compares
	// latencies. Where there are questions, theirs is in front: "question: a/b@8".
	Ratios map[string]float64 `json:"ratios"`
	// Notes say in Markdown what is to be known of the contenders.
	Notes []string `json:"notes,omitempty"`
}

// Result is what one contender reached with one number of callers.
type Result struct {
	// Question is what was measured, where a benchmark measures several things. Results of one
	// question follow each other.
	Question string `json:"question,omitempty"`

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
	// CPU is how many microseconds this process was on processors for each event, where that is known.
	CPU float64 `json:"cpu_us,omitempty"`
	// PeakHeapMB is the largest size of live and not yet collected objects, where it was watched.
	PeakHeapMB float64 `json:"peak_heap_mb,omitempty"`
	// PeakMemoryMB is the most memory that the program had from the system, where it was watched.
	PeakMemoryMB float64 `json:"peak_memory_mb,omitempty"`
	// Delivery is what a reader got of the events, where there was one.
	Delivery *Delivery `json:"delivery,omitempty"`
	// Idle is what was used where nothing happened.
	Idle *Idle `json:"idle,omitempty"`
}

// Idle is what somebody uses who has nothing to do.
type Idle struct {
	// CPUPercent is of one processor, in this process.
	CPUPercent float64 `json:"cpu_percent"`
	// WALBytes are all that the server wrote to its WAL in a second.
	WALBytes float64 `json:"wal_bytes_per_second"`
}

// Delivery is what became of events for one who reads them while they are written.
type Delivery struct {
	// Committed is how many events were appended without an error.
	Committed int64 `json:"committed"`
	// Missed is how many of them the reader never got, Twice how many it got more than once.
	Missed int64 `json:"missed"`
	Twice  int64 `json:"twice"`
}

// missedShare returns the share of events that were missed, in percent.
func (d Delivery) missedShare() float64 {
	return 100 * float64(d.Missed) / float64(max(d.Committed, 1))
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
