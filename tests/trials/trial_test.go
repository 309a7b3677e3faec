package trials

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgtest"
)

// trial is a scenario that a planted fault must not survive.
type trial struct {
	// rule is the one that is broken when the fault is planted.
	rule logcheck.Rule
	// points are the failpoints that are set while it runs.
	points string
	// processes says that it needs processes that end or freeze by themselves.
	processes bool
	run       func(w *world)
}

// Rules beside those of package logcheck: of what a single answer must be.
const (
	ruleHidden   logcheck.Rule = "what is truncated is not shown"
	ruleLives    logcheck.Rule = "lives of a log are told apart"
	ruleState    logcheck.Rule = "a state is the fold of its stream"
	ruleDecided  logcheck.Rule = "commands are decided from the latest state"
	ruleStops    logcheck.Rule = "an event that cannot be applied stops its projection"
	ruleFresh    logcheck.Rule = "a read with a token sees the write"
	rulePast     logcheck.Rule = "a row of the past is the fold up to then"
	ruleRebuilt  logcheck.Rule = "a rebuild succeeds"
	ruleMonotone logcheck.Rule = "what was shown does not go away"
)

func all() map[failpoint.Fault]trial {
	trials := make(map[failpoint.Fault]trial)
	for _, some := range []map[failpoint.Fault]trial{appendTrials, onceTrials, readTrials, commandTrials, projectTrials, rebuildTrials} {
		maps.Copy(trials, some)
	}
	return trials
}

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		if err := runRole(context.Background(), role, os.Getenv(envDSN)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(envPoints) != "" {
		// For whoever runs the trials: the failpoints to set, by fault.
		for fault, t := range all() {
			fmt.Printf("%s %s\n", fault, t.points)
		}
		os.Exit(0)
	}
	pgtest.Main(m)
}

// TestTrials goes through all scenarios. No rule is broken, unless the environment says which fault
// to plant.
func TestTrials(t *testing.T) {
	trials := all()
	for _, f := range failpoint.Faults() {
		if _, ok := trials[f.Name]; !ok {
			t.Errorf("fault %s has no trial", f.Name)
		}
	}
	for _, fault := range slices.Sorted(maps.Keys(trials)) {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			tr := trials[fault]
			if tr.processes && !failpoint.Enabled {
				t.Skip("it needs processes with failpoints: go test -tags failpoints")
			}
			w := newWorld(t, tr.rule)
			tr.run(w)
			logcheck.Test(t, w.broken)
		})
	}
}
