package sagatest_test

import (
	"context"
	"fmt"

	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/sagas/sagatest"
)

// booking is what the steps of a journey hand on.
type booking struct{ Flight, Hotel string }

// printer is a testing.TB for the example.
type printer struct{}

func (printer) Helper() {}

func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func ExampleScenario() {
	book := func(context.Context, sagas.Call, *booking) error { return nil }
	journey := sagas.Define("journey", 1, func(s *sagas.Steps[booking]) {
		s.Call("flight", book).UndoCall(book)
		s.Call("hotel", book).UndoCall(book)
	})
	sagatest.Given[booking](printer{}, journey).
		Begin(booking{}).
		Done("flight", func(b *booking) { b.Flight = "RC 1" }).
		Fail("hotel", "full").
		ThenOpen("undo flight").
		Done("flight").
		ThenUndone("flight").
		ThenFailed("no-rooms")
	// Output:
	// it is failed with code "full", want failed with "no-rooms"
	// history:
	//     0 Started                {"data":{"Flight":"","Hotel":""},"id":"1","saga":"journey","version":1}
	//     1 StepScheduled          flight {"until":"2026-01-02T00:00:00Z"}
	//     2 StepCompleted          flight {"changes":{"Flight":"RC 1"}}
	//     3 StepScheduled          hotel {"until":"2026-01-02T00:00:00Z"}
	//     4 StepFailed             hotel full {"error":"so the test says"}
	//     5 CompensationBegan      full {"error":"hotel: so the test says"}
	//     6 CompensationScheduled  flight {"until":"2026-01-02T00:00:00Z"}
	//     7 Compensated            flight
	//     8 Ended                  failed full {"error":"hotel: so the test says"}
}
