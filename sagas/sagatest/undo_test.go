package sagatest_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/sagas/sagatest"
)

// ride is what the steps of a taxi ride hand on.
type ride struct {
	ID string
	// Undone is what undid the payment.
	Undone  string        `json:",omitempty"`
	Failure sagas.Failure `json:"$failure"`
}

type (
	rideOrdered   struct{ ID string }
	rideCancelled struct{ ID, Reason string }
)

func rides() *sagas.Saga {
	return sagas.Define("ride", 1, func(s *sagas.Steps[ride]) {
		sagas.StartWith(s, func(e rideOrdered) (string, ride) { return e.ID, ride{ID: e.ID} })
		sagas.CancelWith(s, func(e rideCancelled) (id, reason string) { return e.ID, e.Reason })
		s.OnUndo("tell", func(d ride) sagas.Command { return sagas.Command{Name: "ride.tell", Command: d.Failure} })
		s.Call("pay", func(context.Context, sagas.Call, *ride) error { return nil }).
			UndoCall(func(_ context.Context, c sagas.Call, d *ride) error {
				d.Undone = c.Undoes + " by " + c.Key + " for " + d.Failure.Code
				return nil
			})
		s.Ask("drive", nil)
	})
}

// TestUndoing: what undoes a step knows why, and under which key the step was done; what only undoes comes last.
func TestUndoing(t *testing.T) {
	t.Parallel()
	sagatest.Given[ride](t, rides()).Tell(rideOrdered{"1"}).Call("pay").ThenOpen("drive").Fail("drive", "no-driver").
		ThenOpen("undo pay").Call("pay").
		ThenData(ride{ID: "1", Undone: "ride-1/2 by ride-1/7 for no-driver"}).
		ThenOpen("undo tell").ThenCommand("tell", sagas.Command{Name: "ride.tell", Command: sagas.Failure{Code: "no-driver", Error: "drive: so the test says"}}).
		Done("tell").ThenStatus(sagas.Failed).ThenFailed("no-driver")
}

// TestTheFailureIsNotHandedOn: what is only told does not become a member of the data, whether its tag says omitzero or not.
func TestTheFailureIsNotHandedOn(t *testing.T) {
	t.Parallel()
	in, _, err := rides().InputOf(rideOrdered{"1"}, uuid.New())
	if begin, ok := in.(sagas.Begin); err != nil || !ok || len(begin.Data) != 1 {
		t.Errorf("it begins with %+v (%v), want its ID alone", in, err)
	}
}

// TestEventsCancel: an event cancels an instance as an operator does, also before it has begun.
func TestEventsCancel(t *testing.T) {
	t.Parallel()
	late := sagas.Command{Name: "ride.tell", Command: sagas.Failure{Code: sagas.CodeCancelled, Error: "too late"}}
	sagatest.Given[ride](t, rides()).Tell(rideOrdered{"1"}).Tell(rideCancelled{"1", "too late"}).ThenOpen("pay").
		Done("pay").ThenOpen("undo pay").Done("pay").ThenCommand("tell", late).Done("tell").ThenStatus(sagas.Cancelled).
		Tell(rideCancelled{"1", "again"}).ThenStatus(sagas.Cancelled)
	sagatest.Given[ride](t, rides()).Tell(rideCancelled{"1", "too late"}).ThenOpen().Tell(rideOrdered{"1"}).ThenOpen().ThenStatus(sagas.Cancelled)
}
