package storetest

import (
	"context"
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/internal/suitetest"
)

// fault is something that a store can do wrong, and clauses that must tell.
type fault struct {
	name   string
	plant  func(*broken)
	caught []string
}

func faults() []fault {
	return slices.Concat(appendFaults, idempotencyFaults, readFaults, subscribeFaults, managementFaults, receiptFaults, concurrencyFaults)
}

func TestMain(m *testing.M) {
	flag.Parse()
	// The property fails on purpose here: no files of it, no search for a smaller example. It has to
	// fail always, so it is tried with one seed, and as often with -short, which divides by five.
	checks := "100"
	if testing.Short() {
		checks = "500"
	}
	for name, value := range map[string]string{
		"rapid.nofailfile": "true", "rapid.shrinktime": "0s", "rapid.seed": "1", "rapid.checks": checks,
	} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

func TestFaultsAreCaught(t *testing.T) {
	byName := make(map[string]clause)
	for _, c := range clauses() {
		byName[c.name] = c
	}
	for _, fault := range faults() {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range fault.caught {
				c, ok := byName[name]
				if !ok {
					t.Fatalf("there is no clause %q", name)
				}
				failures := failuresOf(t, c, func() eventstore.Store {
					b := newBroken()
					fault.plant(b)
					return b
				})
				suitetest.CheckFailures(t, name, failures)
			}
		})
	}
}

// failuresOf runs a clause against a store.
func failuresOf(t *testing.T, c clause, newStore func() eventstore.Store) []string {
	return suitetest.Failures(t, func(r *suitetest.Recorder) {
		c.run(&fixture{T: r, Store: newStore(), Recorder: new(logcheck.Recorder)})
	})
}

// A clause that no fault can fail proves nothing.
func TestEveryClauseCatchesAFault(t *testing.T) {
	missing := make(map[string]bool)
	for _, c := range clauses() {
		if missing[c.name] {
			t.Errorf("two clauses are named %q", c.name)
		}
		missing[c.name] = true
	}
	for _, fault := range faults() {
		for _, name := range fault.caught {
			delete(missing, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("no fault is planted that the clause %q must catch", name)
	}
}

// A store may also say that it can do what it has no methods for.
func TestMissingMethodsAreCaught(t *testing.T) {
	c := clause{run: implementsFeatures}
	failures := failuresOf(t, c, func() eventstore.Store { return struct{ eventstore.Store }{newBroken()} })
	if len(failures) != 4 {
		t.Errorf("a store without the methods of 4 abilities fails with %q", failures)
	}
}

// What no clause looks for is left to the rules about the whole of what happened.
func TestJudgeCatchesFaults(t *testing.T) {
	judged := clause{run: func(f *fixture) {
		f.append("order-1", eventstore.NoStream, event("a"))
		f.append("order-1", eventstore.Exact(0), event("b"))
		<-time.After(time.Second) // or the read would be at the time of the append
		f.stream("order-1", eventstore.ReadOptions{})
		f.judge()
	}}
	for what, plant := range map[string]func(*broken){
		"nothing": func(*broken) {},
		"an acknowledged event that is nowhere": func(b *broken) {
			b.append = func(context.Context, []eventstore.StreamAppend, eventstore.AppendOptions) ([]eventstore.Appended, error) {
				return []eventstore.Appended{{Stream: "order-1", Position: 1}}, nil
			}
		},
		"a stale read": func(b *broken) {
			b.readStream = func(ctx context.Context, stream string, _ eventstore.ReadOptions) seq {
				return b.Store.ReadStream(ctx, stream, eventstore.ReadOptions{Limit: 1})
			}
		},
	} {
		failures := failuresOf(t, judged, func() eventstore.Store {
			b := newBroken()
			plant(b)
			return b
		})
		if (len(failures) > 0) != (what != "nothing") {
			t.Errorf("%s: the rules say %q", what, failures)
		}
	}
}

// Without a fault, what the faults are planted in passes.
func TestBrokenIsWhole(t *testing.T) {
	for _, c := range clauses() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, failure := range failuresOf(t, c, func() eventstore.Store { return newBroken() }) {
				t.Error(failure)
			}
		})
	}
}
