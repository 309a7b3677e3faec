package trials

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/tests/chaos"
)

// Randomly returns the faults that short random runs are to catch: those that need nothing but load,
// several processes and things that break. The others need what only a scenario of their own has.
func Randomly() []failpoint.FaultInfo {
	names := []failpoint.Fault{
		failpoint.SequencePositions, failpoint.CacheSurvives, failpoint.IDsNotLookedUp,
		failpoint.BlindRetry, failpoint.RecordedAtBegin, failpoint.AsynchronousCommit,
		failpoint.AppendSplit, failpoint.TailAcross, failpoint.ResumeLate,
		failpoint.DigestNotMoved, failpoint.GoroutineLeak,
	}
	return slices.DeleteFunc(failpoint.Faults(), func(f failpoint.FaultInfo) bool { return !slices.Contains(names, f.Name) })
}

// Found is how a random run with a fault ended.
type Found struct {
	Fault failpoint.FaultInfo
	// Rules are those that were broken, in order. None: it was not caught.
	Rules []string
	// Runs is how many it took, Broken how many things they broke.
	Runs, Broken int
	// Took is how long they were, with their checks.
	Took time.Duration
}

// maxRuns is how many runs, with one seed after the other, a fault may survive: what breaks at what
// moment is luck.
const maxRuns = 5

// Harness is the programs of the random harness.
type Harness struct{ recount, worker string }

// BuildHarness builds them into dir.
func BuildHarness(ctx context.Context, dir string) (*Harness, error) {
	h := &Harness{filepath.Join(dir, "recount"), filepath.Join(dir, "chaos")}
	if err := chaos.Build(ctx, h.recount, "cmd/recount"); err != nil {
		return nil, err
	}
	return h, chaos.Build(ctx, h.worker, "tests/chaos/cmd/chaos")
}

// Run plants a fault in all processes of random runs, until one of them catches it.
func (h *Harness) Run(ctx context.Context, fault failpoint.FaultInfo, seed uint64, duration time.Duration) (Found, error) {
	found := Found{Fault: fault}
	for len(found.Rules) == 0 && found.Runs < maxRuns {
		if err := h.runOnce(ctx, &found, seed+uint64(found.Runs), duration); err != nil {
			return found, fmt.Errorf("run the random harness with fault %q: %w", fault.Name, err)
		}
	}
	return found, nil
}

func (h *Harness) runOnce(ctx context.Context, found *Found, seed uint64, duration time.Duration) error {
	report, err := chaos.Run(ctx, chaos.Config{
		Seed: seed, Duration: duration, SkipLosses: true, Recount: h.recount, Worker: h.worker,
		Env: []string{"RECOUNT_PLANT=" + string(found.Fault.Name)},
	})
	if err != nil {
		return err
	}
	for _, v := range report.Violations {
		if v.Rule != string(chaos.RuleLoad) { // which says that the run was too easy
			found.Rules = append(found.Rules, v.Rule)
		}
	}
	slices.Sort(found.Rules)
	found.Rules = slices.Compact(found.Rules)
	found.Runs++
	found.Broken += report.Total
	found.Took += time.Duration(report.Seconds.Total * float64(time.Second))
	if report.Dir == "" {
		return nil
	}
	return os.RemoveAll(report.Dir)
}
