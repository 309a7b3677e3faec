package sagas_test

import (
	"errors"
	"testing"
	"time"

	"github.com/57528e99/recount/sagas"
)

// TestMigrate: an instance goes on with another version as if it had always been of that. What is open and not there is dropped.
func TestMigrate(t *testing.T) {
	t.Parallel()
	first := sagas.Define("checkout", 1, func(s steps) {
		s.Call("pay", call).UndoCall(call)
		s.All("both", func(s steps) { s.Call("ship", call).UndoCall(call) }, func(s steps) { s.Ask("approve", nil) })
	})
	second := sagas.Define("checkout", 2, func(s steps) {
		s.Call("pay", call).UndoCall(call)
		s.Call("thank", call)
		s.Ask("approve", nil)
	})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var i sagas.Instance
	decide := func(s *sagas.Saga, in sagas.Input) error {
		events, err := s.Decide(i, in, now)
		for _, e := range events {
			i = e.Evolve(i)
		}
		return err
	}
	want := func(status sagas.Status, steps map[string]sagas.StepStatus) {
		t.Helper()
		if i.Status != status || len(i.Steps) != len(steps) {
			t.Errorf("it is %s with steps %+v, want %s with %v", i.Status, i.Steps, status, steps)
		}
		for name, want := range steps {
			if s, _ := i.Step(name); s.Status != want {
				t.Errorf("step %s is %q, want %q", name, s.Status, want)
			}
		}
	}
	number := func(step string) int64 {
		s, _ := i.Step(step)
		return s.Number
	}
	migrate := sagas.Intervene{Intervened: sagas.Intervened{Act: sagas.Migrate, Version: 2, Reason: "thanks"}}

	for _, err := range []error{decide(first, sagas.Begin{ID: "1"}), decide(first, sagas.Complete{Step: "pay", Number: number("pay")})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := decide(first, migrate); !errors.Is(err, sagas.ErrOver) {
		t.Errorf("by the version that it is of, it goes to another one: %v", err)
	}
	if err := decide(second, migrate); err != nil {
		t.Fatal(err)
	}
	want(sagas.Running, map[string]sagas.StepStatus{"pay": sagas.Done, "ship": sagas.Dropped, "approve": sagas.Open, "thank": sagas.Open})
	for _, in := range []sagas.Input{
		sagas.Complete{Step: "ship", Number: number("ship")}, // late, and not undone: nobody knows how
		sagas.Complete{Step: "approve", Number: number("approve")},
		sagas.Complete{Step: "thank", Number: number("thank")},
	} {
		if err := decide(second, in); err != nil {
			t.Error(err)
		}
	}
	want(sagas.Completed, map[string]sagas.StepStatus{"pay": sagas.Done, "ship": sagas.Late, "approve": sagas.Done, "thank": sagas.Done})
	if err := decide(second, migrate); !errors.Is(err, sagas.ErrOver) {
		t.Errorf("one that has ended goes to another version: %v", err)
	}
}
