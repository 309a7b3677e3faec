package targettest

import (
	"context"
	"slices"
	"testing"
)

// T is what a clause needs of a *testing.T. It is an interface so that the suite's own tests can watch a clause
// fail.
type T interface {
	Context() context.Context
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Run tests the target that newFixture makes. NewFixture is called once for each clause; it cleans up with
// t.Cleanup. Clauses run in parallel.
func Run(t *testing.T, newFixture func(t *testing.T) *Fixture) {
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if c.needs != nil && !c.needs(f) {
				t.Skip("the fixture says that it cannot")
			}
			c.run(newRun(t, f))
		})
	}
}

// clause is one promise.
type clause struct {
	name  string
	needs func(*Fixture) bool
	run   func(*run)
}

var clauses = slices.Concat(deliveryClauses, outcomeClauses, contextClauses)
