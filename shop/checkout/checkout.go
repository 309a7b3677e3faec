// Package checkout takes an order from being placed to its goods leaving the house, over the services that have a part in it: inventory,
// payment, shipping, and the orders themselves. There are three ways, which end alike:
//
// Orchestrated has one process for each order, which asks one service after another, and if one cannot, lets those that could give back
// what they did.
//
// Choreographed has no process: each service reacts to what the others say that they did.
//
// Hybrid has a process until the order is confirmed, and reactions from then on.
//
// What is asked of a service is the same in all three, and in this file; payments.go has what is asked of the gateway.
package checkout

import (
	"cmp"
	"strings"
	"time"

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

// withDefaults returns it with what was left out.
func (c Config) withDefaults() Config {
	c.Attempts.Max = cmp.Or(c.Attempts.Max, 60)
	c.Attempts.First = cmp.Or(c.Attempts.First, time.Second)
	c.Attempts.Longest = cmp.Or(c.Attempts.Longest, time.Minute)
	return c
}

// Name is that of the module, and of the saga of Orchestrated. The names of reactions begin with it.
const Name = "checkout"

// checkout is what the steps hand on, and what reactions go by.
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

// of returns what is handed on of an order.
func of(o order.Order) checkout {
	lines := make([]goods.Line, len(o.Lines)) // what is reserved needs neither descriptions nor prices
	for i, l := range o.Lines {
		lines[i] = goods.Line{SKU: l.SKU, Quantity: l.Quantity}
	}
	return checkout{OrderID: o.ID, Country: o.Country, Currency: o.Currency, Lines: lines, TotalMinor: o.TotalMinor}
}

func begin(e order.Placed) (id string, _ checkout) { return e.ID, of(e.Evolve(order.Order{})) }

func costs(c checkout) bool { return c.TotalMinor > 0 }

// stepReserve is the first step of a process, whose failure begins with it.
const stepReserve = "reserve"

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

// abandon leaves an order alone that somebody has confirmed before anything was reserved for it.
func abandon(c checkout) sagas.Command {
	reserved := !(c.Failure.Code == sagas.CodeRejected && strings.HasPrefix(c.Failure.Error, stepReserve+": "))
	return sagas.Command{Name: "order.abandon", ID: c.OrderID, Command: order.Abandon{Reason: c.reason(), OnlyPlaced: !reserved}}
}

func ship(c checkout) sagas.Command {
	return sagas.Command{Name: "order.ship", ID: c.OrderID, Command: order.Ship{}}
}

func handOut(c checkout) sagas.Command {
	return sagas.Command{Name: "commit-order", Command: stock.CommitOrder{OrderID: c.OrderID, Lines: c.Lines}}
}

// refuse is what a reaction does in the place of reserve when that is refused, for others to react to. A process knows it by itself.
func refuse(c checkout) sagas.Command {
	return sagas.Command{Name: "reservation.refuse", ID: c.OrderID, Command: stock.RefuseOrder{OrderID: c.OrderID, Reason: fit(c.Failure.Error)}}
}

// recorded is a command about the stock of an order that leaves an event about the order as a whole, for others to react to. A process needs none.
func recorded(c sagas.Command) sagas.Command {
	c.Name = "record-" + c.Name
	return c
}
