package trials

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/57528e99/recount/tests/chaos"
	"github.com/57528e99/recount/tests/mutants"
)

// Found is how random runs with a mutant ended.
type Found struct {
	Mutant mutants.Mutant
	// Rules are those that were broken, in order. None: it was not caught.
	Rules []string
	// Runs is how many it took, Broken how many things they broke.
	Runs, Broken int
	// Took is how long they were, with their checks.
	Took time.Duration
}

// maxRuns is how many runs, with one seed after the other, a mutant may survive: what breaks at
// what moment is luck.
const maxRuns = 5

// RunRandomly puts a mutant into all processes of random runs, until one of them catches it.
func RunRandomly(ctx context.Context, m mutants.Mutant, seed uint64, duration time.Duration) (Found, error) {
	found := Found{Mutant: m}
	for len(found.Rules) == 0 && found.Runs < maxRuns {
		c := chaos.Config{Seed: seed + uint64(found.Runs), Duration: duration, SkipLosses: true, Mutant: m.Name}
		if err := found.run(ctx, c); err != nil {
			return found, fmt.Errorf("run the random harness with mutant %s: %w", m.Name, err)
		}
	}
	return found, nil
}

func (f *Found) run(ctx context.Context, c chaos.Config) error {
	report, err := chaos.Run(ctx, c)
	if err != nil {
		return err
	}
	for _, v := range report.Violations {
		if v.Rule != string(chaos.RuleLoad) { // which says that the run was too easy
			f.Rules = append(f.Rules, v.Rule)
		}
	}
	slices.Sort(f.Rules)
	f.Rules = slices.Compact(f.Rules)
	f.Runs++
	f.Broken += report.Total
	f.Took += time.Duration(report.Seconds.Total * float64(time.Second))
	if report.Dir == "" {
		return nil
	}
	return os.RemoveAll(report.Dir)
}
