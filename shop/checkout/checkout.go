// Package checkout takes an order from being placed to its confirmation, over the services that have a part in it.
//
// Orchestrated has one process for each order, which asks one service after another, and if one cannot, lets those that could give back
// what they did.
package checkout

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop/payment"
)

// Config says how orders are checked out.
type Config struct {
	// Payments ask the gateway. Required.
	Payments payment.Service
	// Attempts say how often the gateway is asked. Default: 60 times, within an hour.
	Attempts sagas.Attempts
}

// Name is that of the saga, and of its module.
const Name = "checkout"

// checkout is what the steps hand on.
type checkout struct {
	OrderID  string       `json:"order_id"`
	Country  string       `json:"country"`
	Currency string       `json:"currency"`
	Lines    []goods.Line `json:"lines"`
	// TotalMinor is what the order costs, in minor units of the currency. If that is 0 there is nothing to pay.
	TotalMinor int64 `json:"total_minor"`
	// Failure is why the order is given up.
	Failure sagas.Failure `json:"$failure,omitzero"`
}

// Orchestrated returns the module with the process.
func Orchestrated(c Config) app.Module {
	return app.Module{Name: Name, Sagas: []*sagas.Saga{orchestrated(c)}}
}

func orchestrated(c Config) *sagas.Saga {
	pay := payments{c.Payments}
	c.Attempts.Max = cmp.Or(c.Attempts.Max, 60)
	return sagas.Define(Name, 1, func(s *sagas.Steps[checkout]) {
		s.Describe("Takes an order from being placed until its goods are on their way, or undoes all that was done for it")
		// An order that is placed is checked out; one of before is not, whatever comes for it.
		sagas.StartWith(s, begin)
		s.BeforeStart(sagas.Drop)
		// A customer who cancels it gets back whatever was done for it.
		sagas.CancelWith(s, func(e order.Cancelled) (id, reason string) { return e.ID, e.Reason })
		// If it cannot be checked out, it is called off once everything else is undone.
		s.OnUndo("give-up", abandon)
		// All its lines are reserved, or none.
		s.Command("reserve", reserve).Undo(release)
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
		// Until its goods are on their way the customer can cancel it.
		sagas.Receive(s, "dispatched", func(e shipment.Dispatched) string { return e.OrderID }, nil)
		// From then on it is shipped, and cannot be cancelled.
		s.Command("ship", ship)
		// What was reserved for it has left the house.
		s.Command("hand-out", handOut)
	})
}

func begin(e order.Placed) (id string, _ checkout) {
	lines := make([]goods.Line, len(e.Lines)) // what is reserved needs neither descriptions nor prices
	for i, l := range e.Lines {
		lines[i] = goods.Line{SKU: l.SKU, Quantity: l.Quantity}
	}
	return e.ID, checkout{OrderID: e.ID, Country: e.Country, Currency: e.Currency, Lines: lines, TotalMinor: e.TotalMinor}
}

func costs(c checkout) bool { return c.TotalMinor > 0 }

func reserve(c checkout) sagas.Command {
	return sagas.Command{Name: "reserve-order", Command: stock.ReserveOrder{OrderID: c.OrderID, Lines: c.Lines}}
}

func release(c checkout) sagas.Command {
	return sagas.Command{Name: "release-order", Command: stock.ReleaseOrder{OrderID: c.OrderID, Lines: c.Lines}}
}

func schedule(c checkout) sagas.Command {
	return sagas.Command{Name: "shipment.schedule", ID: c.OrderID, Command: shipment.Schedule{OrderID: c.OrderID, Country: c.Country}}
}

func callOff(c checkout) sagas.Command {
	return sagas.Command{Name: "shipment.call-off", ID: c.OrderID, Command: shipment.CallOff{OrderID: c.OrderID, Reason: c.reason()}}
}

func confirm(c checkout) sagas.Command {
	return sagas.Command{Name: "order.confirm", ID: c.OrderID, Command: order.Confirm{}}
}

func abandon(c checkout) sagas.Command {
	return sagas.Command{Name: "order.abandon", ID: c.OrderID, Command: order.Abandon{Reason: c.reason()}}
}

func ship(c checkout) sagas.Command {
	return sagas.Command{Name: "order.ship", ID: c.OrderID, Command: order.Ship{}}
}

func handOut(c checkout) sagas.Command {
	return sagas.Command{Name: "commit-order", Command: stock.CommitOrder{OrderID: c.OrderID, Lines: c.Lines}}
}
