package chaos

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

// everybody is the processes of a run with the default configuration.
func everybody(t *testing.T) map[role][]string {
	t.Helper()
	var c Config
	if err := c.setDefaults(); err != nil {
		t.Fatal(err)
	}
	return c.names()
}

func TestTheSameSeedMakesTheSamePlan(t *testing.T) {
	t.Parallel()
	plan := func(seed uint64) Plan {
		return newPlan(seed, 300, time.Minute, everybody(t), nil)
	}
	if one, two := plan(7), plan(7); !reflect.DeepEqual(one, two) {
		t.Error("two plans of one seed differ")
	}
	if one, two := plan(7), plan(8); reflect.DeepEqual(one, two) {
		t.Error("the plans of two seeds are the same")
	}
}

func TestAPlanHasEveryKindInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 40, 300, 3000} {
		p := newPlan(1, n, time.Minute, everybody(t), nil)
		if d := math.Abs(float64(len(p) - n)); d > max(float64(len(recipes)), float64(n)/50) {
			t.Errorf("a plan of %d faults has %d", n, len(p))
		}
		for _, r := range recipes {
			if !slices.ContainsFunc(p, func(f Fault) bool { return f.Kind == r.kind }) {
				t.Errorf("a plan of %d faults has none of kind %q", n, r.kind)
			}
		}
		if !slices.IsSortedFunc(p, func(a, b Fault) int { return int(a.At - b.At) }) {
			t.Errorf("a plan of %d faults is not in order", n)
		}
	}
}

func TestFaultsAreWithinTheirBounds(t *testing.T) {
	t.Parallel()
	processes := everybody(t)
	for _, f := range newPlan(3, 2000, time.Minute, processes, nil) {
		i := slices.IndexFunc(recipes, func(r recipe) bool { return r.kind == f.Kind })
		r := recipes[i]
		if f.At < 0 || f.At >= time.Minute {
			t.Errorf("%s is not within the minute", f)
		}
		if f.For < r.shortest || f.For > r.longest {
			t.Errorf("%s lasts %s, want from %s to %s", f, f.For, r.shortest, r.longest)
		}
		if (f.Target != "") != (len(r.roles) > 0) || f.Target != "" && !slices.Contains(r.targets(processes), f.Target) {
			t.Errorf("%s hits %q, which is none of its targets", f, f.Target)
		}
		if f.Kind == KillAtPoint && (f.Hit < 1 || !slices.ContainsFunc(pointsOf(f.Target), func(p point) bool { return string(p.Point) == f.Point })) {
			t.Errorf("%s is at no failpoint", f)
		}
	}
}

func TestAPlanKeepsToTheKindsThatAreWanted(t *testing.T) {
	t.Parallel()
	for _, f := range newPlan(1, 100, time.Minute, everybody(t), []Kind{Kill, CutAfter}) {
		if f.Kind != Kill && f.Kind != CutAfter {
			t.Errorf("the plan has %s", f)
		}
	}
	for _, f := range newPlan(1, 100, time.Minute, map[role][]string{roleWriter: {"writer-1"}}, nil) {
		if f.Target != "" && f.Target != "writer-1" {
			t.Errorf("the plan has %s, there is only a writer", f)
		}
	}
}
