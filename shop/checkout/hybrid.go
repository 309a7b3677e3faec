package checkout

import (
	"context"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/sagas"
)

// HybridName is that of the saga of Hybrid.
const HybridName = "checkout_hybrid"

// Hybrid returns the module with a process for each order until that is confirmed, and reactions from then on.
func Hybrid(c Config) app.Module {
	c = c.withDefaults()
	r := reactions{pay: payments{c.Payments}, attempts: c.Attempts}
	return app.Module{
		Name: Name,
		Sagas: []*sagas.Saga{sagas.Define(HybridName, 1, func(s *sagas.Steps[checkout]) {
			s.Describe("Takes an order from being placed to its confirmation, or undoes all that was done for it")
			untilConfirmed(s, c)
		})},
		Subscriptions: []delivery.Subscription{
			reaction("ship", "orders: ships an order whose goods are on their way", r.ship),
			reaction("ship-late", "orders: ships an order that is confirmed when its goods are on their way already", r.shipLate),
			reaction("hand-out", "inventory: what was reserved for an order that is shipped leaves the house", r.handOut),
			notSent,
			reaction("release", "inventory: gives back what an order has reserved that is cancelled after its confirmation", afterConfirmation(r.release)),
			reaction("give-back", "payment: refunds an order that is cancelled after its confirmation", afterConfirmation(r.giveBack)),
			reaction("call-off", "shipping: calls off the shipment of an order that is cancelled after its confirmation", afterConfirmation(r.callOff)),
		},
	}
}

// All returns the module with all that any of the ways has: to look at a log, not to run.
func All(c Config) app.Module {
	m := Choreographed(c)
	m.Sagas = append(Orchestrated(c).Sagas, Hybrid(c).Sagas...)
	return m
}

// afterConfirmation leaves an order that was cancelled before it was confirmed to its process. There is nothing between: its confirmation and the end
// of its process are one append.
func afterConfirmation(f func(context.Context, order.Cancelled, delivery.Event) error) func(context.Context, order.Cancelled, delivery.Event) error {
	return func(ctx context.Context, e order.Cancelled, at delivery.Event) error {
		state, _, err := app.ServiceOf(ctx).Commands.State(ctx, at.Stream, commands.AtVersion(at.Version-1))
		if before, _ := state.(order.Order); err != nil || before.Status != order.StatusConfirmed {
			return err
		}
		return f(ctx, e, at)
	}
}
