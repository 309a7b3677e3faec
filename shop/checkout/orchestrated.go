package checkout

import (
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/sagas"
)

// Orchestrated returns the module with one process for each order, and a reaction that cancels one whose goods were never sent.
func Orchestrated(c Config) app.Module {
	return app.Module{Name: Name, Sagas: []*sagas.Saga{orchestrated(c.withDefaults())}, Subscriptions: []delivery.Subscription{notSent}}
}

func orchestrated(c Config) *sagas.Saga {
	return sagas.Define(Name, 1, func(s *sagas.Steps[checkout]) {
		s.Describe("Takes an order from being placed until its goods are on their way, or undoes all that was done for it")
		untilConfirmed(s, c)
		// Until its goods are on their way the customer can cancel it.
		sagas.Receive(s, "dispatched", func(e shipment.Dispatched) string { return e.OrderID }, nil)
		// From then on it is shipped, and cannot be cancelled. If it was just before, its goods are recalled.
		s.Command("ship", ship)
		// What was reserved for it has left the house.
		s.Command("hand-out", handOut)
	})
}

// untilConfirmed are the steps that take an order from being placed to its confirmation.
func untilConfirmed(s *sagas.Steps[checkout], c Config) {
	pay := payments{c.Payments}
	// An order that is placed is checked out; one of before is not, whatever comes for it.
	sagas.StartWith(s, begin)
	s.BeforeStart(sagas.Drop)
	// A customer who cancels it gets back whatever was done for it.
	sagas.CancelWith(s, func(e order.Cancelled) (id, reason string) { return e.ID, e.Reason })
	// If it cannot be checked out, it is called off once everything else is undone.
	s.OnUndo("give-up", abandon)
	// All its lines are reserved, or none; of an order that somebody has confirmed or cancelled, none.
	s.Command(stepReserve, reserve).Undo(release)
	// What it costs is held on the customer's card, if it costs anything.
	s.Choose("payment", sagas.When("costs", costs, func(s *sagas.Steps[checkout]) {
		s.Call("authorize", pay.authorize).UndoCall(pay.void).Attempts(c.Attempts).Within(time.Hour)
	}))
	// Its shipment is scheduled.
	s.Command("schedule", schedule).Undo(callOff)
	// The money is taken.
	s.Choose("charge", sagas.When("costs", costs, func(s *sagas.Steps[checkout]) {
		s.Call("capture", pay.capture).UndoCall(pay.refund).Attempts(c.Attempts).Within(time.Hour)
	}))
	// It is confirmed: the shop will deliver it.
	s.Command("confirm", confirm)
}
