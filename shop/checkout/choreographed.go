package checkout

import (
	"context"
	"errors"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop/payment/gateway"
)

// Choreographed returns the module in which each service reacts to events of the others. Nobody has the whole, so no reaction relies on another one
// having been there before: events come in any order, late and twice, and the streams of the services say what still can be done.
//
// A customer who cancels, and a shop that gives up, is one event for all: each service gives back what it has done, and does nothing any more.
func Choreographed(c Config) app.Module {
	c = c.withDefaults()
	r := reactions{pay: payments{c.Payments}, attempts: c.Attempts}
	return app.Module{Name: Name, Subscriptions: []delivery.Subscription{
		reaction("reserve", "inventory: reserves all lines of an order that was placed, or none", r.reserve),
		reaction("authorize", "payment: holds what an order costs for which all is reserved", r.authorize),
		reaction("schedule-free", "shipping: schedules the shipment of an order that costs nothing, for which all is reserved", r.scheduleFree),
		reaction("schedule", "shipping: schedules the shipment of an order whose money is held", r.schedule),
		reaction("capture", "payment: takes what an order costs whose shipment is scheduled", r.capture),
		reaction("confirm-free", "orders: confirms an order that costs nothing, whose shipment is scheduled", r.confirmFree),
		reaction("confirm", "orders: confirms an order whose money is taken", r.confirm),
		reaction("ship", "orders: ships an order whose goods are on their way", r.ship),
		reaction("ship-late", "orders: ships an order that is confirmed when its goods are on their way already", r.shipLate),
		reaction("hand-out", "inventory: what was reserved for an order that is shipped leaves the house", r.handOut),

		reaction("refused", "orders: gives up an order for which there is too little", r.refused),
		reaction("declined", "orders: gives up an order whose money is not held", r.declined),
		reaction("not-captured", "orders: gives up an order whose money is not taken", r.notCaptured),
		notSent,

		reaction("release", "inventory: gives back what an order has reserved that is cancelled", r.release),
		reaction("give-back", "payment: gives up what is held for an order that is cancelled, or refunds it", r.giveBack),
		reaction("call-off", "shipping: calls off the shipment of an order that is cancelled", r.callOff),
	}}
}

// reactions are what the services do, each when something has happened to an order.
type reactions struct {
	pay      payments
	attempts sagas.Attempts
}

// patient is the retry of what does not end by failing: an order waits rather than being left half done.
var patient = delivery.Retry{MaxAttempts: 1000, MaxAge: delivery.Duration(365 * 24 * time.Hour)}

// reaction is a subscription of a service to one type of event.
func reaction[E any](name, description string, f func(context.Context, E, delivery.Event) error) delivery.Subscription {
	return delivery.Subscription{
		Definition: delivery.Definition{Description: description, Retry: patient},
		Handler: delivery.Handle(Name+"-"+name, func(ctx context.Context, e E, at delivery.Event) error {
			return f(app.Because(ctx, at), e, at)
		}),
	}
}

// run runs a command for an event. Done are refusals which say that the order has gone on, or another way: nothing is left to do.
func run(ctx context.Context, at delivery.Event, c sagas.Command, done ...error) error {
	_, err := app.ServiceOf(ctx).React(ctx, at, c.Name, c.ID, c.Command)
	for _, d := range done {
		if errors.Is(err, d) {
			return nil
		}
	}
	return err
}

// reserve does nothing for an order that was cancelled, or that somebody has confirmed.
func (r reactions) reserve(ctx context.Context, e order.Placed, at delivery.Event) error {
	_, c := begin(e)
	err := run(ctx, at, recorded(reserve(c)), stock.ErrReservationClosed, order.ErrTransition)
	var rejected *commands.RejectedError
	if !errors.As(err, &rejected) {
		return err
	}
	return run(ctx, at, refuse(c.because(rejected.Err.Error())))
}

func (r reactions) authorize(ctx context.Context, e stock.OrderReserved, at delivery.Event) error {
	c, err := orderOf(ctx, e.OrderID)
	if err != nil || !costs(c) {
		return err
	}
	return r.insist(ctx, at, gateway.Authorize, c, r.pay.authorize(ctx, c.call(gateway.Authorize), &c))
}

func (r reactions) scheduleFree(ctx context.Context, e stock.OrderReserved, at delivery.Event) error {
	c, err := orderOf(ctx, e.OrderID)
	if err != nil || costs(c) {
		return err
	}
	return run(ctx, at, schedule(c), shipment.ErrAlreadyScheduled)
}

// schedule does nothing for an order whose shipment was called off before.
func (r reactions) schedule(ctx context.Context, e payment.Authorized, at delivery.Event) error {
	c, err := orderOf(ctx, e.OrderID)
	if err != nil {
		return err
	}
	return run(ctx, at, schedule(c), shipment.ErrAlreadyScheduled)
}

func (r reactions) capture(ctx context.Context, e shipment.Scheduled, at delivery.Event) error {
	c, err := orderOf(ctx, e.OrderID)
	if err != nil || !costs(c) {
		return err
	}
	return r.insist(ctx, at, gateway.Capture, c, r.pay.capture(ctx, c.call(gateway.Capture), &c))
}

func (r reactions) confirmFree(ctx context.Context, e shipment.Scheduled, at delivery.Event) error {
	c, err := orderOf(ctx, e.OrderID)
	if err != nil || costs(c) {
		return err
	}
	return run(ctx, at, confirm(c), order.ErrTransition)
}

// confirm does nothing for an order that was cancelled meanwhile: who reacts to that gives the money back.
func (r reactions) confirm(ctx context.Context, e payment.Captured, at delivery.Event) error {
	return run(ctx, at, confirm(checkout{OrderID: e.OrderID}), order.ErrTransition)
}

// ship does nothing for an order that was cancelled, whose goods are recalled, nor for one that is to be confirmed yet: that is for shipLate.
func (r reactions) ship(ctx context.Context, e shipment.Dispatched, at delivery.Event) error {
	return run(ctx, at, ship(checkout{OrderID: e.OrderID}), order.ErrTransition)
}

func (r reactions) shipLate(ctx context.Context, e order.Confirmed, at delivery.Event) error {
	s, version, err := shipmentOf(ctx, e.ID, commands.Moment{})
	if err == nil && s.Status == shipment.StatusFailed { // its last event: it may have been on its way before
		s, _, err = shipmentOf(ctx, e.ID, commands.AtVersion(version-1))
	}
	if err != nil || s.Status != shipment.StatusDispatched && s.Status != shipment.StatusDelivered {
		return err
	}
	return run(ctx, at, ship(checkout{OrderID: e.ID}), order.ErrTransition)
}

func shipmentOf(ctx context.Context, id string, at commands.Moment) (shipment.Shipment, int64, error) {
	state, version, err := app.ServiceOf(ctx).Commands.State(ctx, "shipment-"+id, at)
	s, _ := state.(shipment.Shipment)
	return s, version, err
}

// handOut does nothing for an order without a shipment: people have shipped it, and see to its stock.
func (r reactions) handOut(ctx context.Context, e order.Shipped, at delivery.Event) error {
	if _, version, err := shipmentOf(ctx, e.ID, commands.Moment{}); err != nil || version < 0 {
		return err
	}
	c, err := orderOf(ctx, e.ID)
	if err != nil {
		return err
	}
	return run(ctx, at, recorded(handOut(c)))
}

func (r reactions) refused(ctx context.Context, e stock.OrderRefused, at delivery.Event) error {
	return giveUp(ctx, at, e.OrderID, e.Reason)
}

func (r reactions) declined(ctx context.Context, e payment.Declined, at delivery.Event) error {
	return giveUp(ctx, at, e.OrderID, e.Reason)
}

func (r reactions) notCaptured(ctx context.Context, e payment.CaptureDeclined, at delivery.Event) error {
	return giveUp(ctx, at, e.OrderID, e.Reason)
}

// notSent is a reaction of all three ways: nobody knows when a carrier does not come, and the order may be at any step. What is done for an order that
// is cancelled is done then.
var notSent = reaction("not-sent", "orders: gives up an order whose shipment fails before the goods are on their way",
	func(ctx context.Context, e shipment.Failed, at delivery.Event) error {
		before, _, err := shipmentOf(ctx, e.ID, commands.AtVersion(at.Version-1))
		if err != nil || before.Status != shipment.StatusScheduled || e.ID != e.OrderID { // it was sent, or is another one, of people
			return err
		}
		return giveUp(ctx, at, e.OrderID, "not sent: "+e.Reason, order.ErrTransition, order.ErrNotPlaced)
	})

// giveUp cancels an order, which everybody reacts to.
func giveUp(ctx context.Context, at delivery.Event, id, reason string, done ...error) error {
	return run(ctx, at, abandon(checkout{OrderID: id}.because(reason)), done...)
}

func (r reactions) release(ctx context.Context, e order.Cancelled, at delivery.Event) error {
	return run(ctx, at, recorded(release(cancelled(e))))
}

func (r reactions) giveBack(ctx context.Context, e order.Cancelled, at delivery.Event) error {
	c := cancelled(e)
	if !costs(c) {
		return nil
	}
	if err := r.pay.giveBack(ctx, &c); err != nil {
		return delivery.RetryAfter(err, r.attempts.Pause(at.Attempt))
	}
	return nil
}

func (r reactions) callOff(ctx context.Context, e order.Cancelled, at delivery.Event) error {
	return run(ctx, at, callOff(cancelled(e).because(e.Reason)))
}

// orderOf returns what the events of an order say of it.
func orderOf(ctx context.Context, id string) (checkout, error) {
	state, _, err := app.ServiceOf(ctx).Commands.State(ctx, "order-"+id, commands.Moment{})
	o, _ := state.(order.Order)
	if err == nil && o.Status == "" {
		err = order.ErrNotPlaced
	}
	return of(o), err
}

func cancelled(e order.Cancelled) checkout {
	return of(order.Order{ID: e.ID, Country: e.Country, Currency: e.Currency, Lines: e.Lines, TotalMinor: e.TotalMinor})
}
