package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/tests/machine"
)

// Report is what came out of a run.
type Report struct {
	Seed    uint64          `json:"seed"`
	Again   string          `json:"again"` // the command that makes the same plan
	Machine machine.Machine `json:"machine"`
	// Commit is that of the source, if it is known and was built by the run.
	Commit string     `json:"commit,omitempty"`
	Faults []Injected `json:"faults"`
	// Total is how many faults happened.
	Total int `json:"total_faults"`
	// Acked is how many events writers were told are stored; Stored how many there
	// are, with those of servers and importers.
	Acked  int `json:"acknowledged_events"`
	Stored int `json:"stored_events"`
	// Appends, Reads and Batches are what was recorded: attempts to append, reads
	// of streams, deliveries to readers.
	Appends int `json:"appends"`
	Reads   int `json:"reads"`
	Batches int `json:"batches"`
	// LeftOut says what could not be done on this machine, and why.
	LeftOut []string `json:"left_out,omitempty"`
	// Also counts what was going on besides.
	Also      map[string]int   `json:"also"`
	Processes map[string]tally `json:"processes"`
	Recovery  Recovery         `json:"recovery"`
	Losses    []Loss           `json:"losses,omitempty"`
	Checks    []Check          `json:"checks"`
	// Violations are what the checks have found. None: all promises were kept, as
	// far as this run could tell.
	Violations []Violation `json:"violations"`
	Seconds    Seconds     `json:"seconds"`
	// Dir has histories and logs, if it was kept.
	Dir string `json:"dir,omitempty"`
}

// Injected is how many faults of a kind there were.
type Injected struct {
	Kind    Kind `json:"kind"`
	Planned int  `json:"planned"`
	// Happened may be fewer: a process was down already, or made no COMMIT.
	Happened int `json:"happened"`
}

// Check is a validator that was run.
type Check struct {
	Name       string `json:"name"`
	Checked    int    `json:"checked"` // how many things
	Violations int    `json:"violations"`
}

// Violation is a promise that was not kept.
type Violation struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
}

// Recovery is how long it took to come back after the last fault.
type Recovery struct {
	AppendSeconds float64            `json:"append_seconds"`
	HeadSeconds   map[string]float64 `json:"head_seconds"`
}

func recoveryOf(v logcheck.Recovery) Recovery {
	seconds := func(at time.Time) float64 {
		if at.IsZero() {
			return -1
		}
		return at.Sub(v.Over).Seconds()
	}
	r := Recovery{AppendSeconds: seconds(v.Appended), HeadSeconds: make(map[string]float64)}
	for name, at := range v.AtHead {
		r.HeadSeconds[name] = seconds(at)
	}
	return r
}

// String says it in a line.
func (r Recovery) String() string {
	in := func(seconds float64) string {
		if seconds < 0 {
			return "not in time"
		}
		return fmt.Sprintf("in %.1fs", seconds)
	}
	last, at := "nobody", 0.0
	for _, name := range slices.Sorted(maps.Keys(r.HeadSeconds)) {
		if s := r.HeadSeconds[name]; at >= 0 && (s < 0 || s >= at) {
			last, at = name, s
		}
	}
	return fmt.Sprintf("a fresh append %s, everybody at the head %s (last: %s)", in(r.AppendSeconds), in(at), last)
}

// Seconds is where the time went.
type Seconds struct {
	Total    float64 `json:"total"`
	Recovery float64 `json:"recovery"`
	Checks   float64 `json:"checks"`
}

// finish completes the report and writes it into the run's folder.
func (r *run) finish() Report {
	rep := &r.report
	rep.Seed, rep.Again = r.config.Seed, r.config.command()
	planned := make(map[Kind]int)
	for _, f := range r.plan {
		planned[f.Kind]++
	}
	happened := r.injector.counts()
	for _, recipe := range recipes {
		if planned[recipe.kind]+happened[recipe.kind] > 0 {
			rep.Faults = append(rep.Faults, Injected{recipe.kind, planned[recipe.kind], happened[recipe.kind]})
			rep.Total += happened[recipe.kind]
		}
	}
	if err := r.cluster.noDisks; err != nil {
		rep.LeftOut = append(rep.LeftOut, "full disks: "+err.Error())
	}
	rep.Also = r.counts
	rep.Processes = make(map[string]tally)
	for name, p := range r.processes {
		rep.Processes[name] = p.counts()
	}
	rep.Seconds.Total = time.Since(r.begun).Seconds()
	if len(rep.Violations) > 0 || r.config.Dir != "" {
		rep.Dir = r.dir
		if err := rep.save(r.dir + "/report.json"); err != nil {
			r.problem(err)
		}
	}
	return *rep
}

func (rep *Report) save(path string) error {
	text, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// command is the command line that makes the same plan.
func (c *Config) command() string {
	s := fmt.Sprintf("go run ./tests/chaos/cmd/chaos --seed %d --duration %s --faults %d --min-faults %d --events %d",
		c.Seed, c.Duration, c.Faults, c.MinFaults, c.Events)
	if c.Mutant != "" {
		s += " --mutant " + c.Mutant
	}
	return s
}
