// Package payment is the service that has the money of orders held, taken and given back: it asks a payment gateway, and records each
// answer in the log. It knows its own events alone.
package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/shop/payment/gateway"
)

const category = "payment"

// Module has the streams payment-{order id}. Their commands record what a gateway has answered, so nobody sends them over HTTP.
func Module() app.Module {
	return app.Module{
		Name: "payments",
		Aggregates: []app.Aggregate{app.NewAggregate[payment.Payment, payment.Event](category, "/v1/payments/{order_id}").
			Events(
				app.Event[payment.Authorized]("PaymentAuthorized", 1),
				app.Event[payment.Declined]("PaymentDeclined", 1),
				app.Event[payment.Captured]("PaymentCaptured", 1),
				app.Event[payment.CaptureDeclined]("PaymentCaptureDeclined", 1),
				app.Event[payment.Voided]("PaymentVoided", 1),
				app.Event[payment.Refunded]("PaymentRefunded", 1)).
			Commands(
				app.Do[payment.Authorize]("authorize", app.Internal),
				app.Do[payment.Decline]("decline", app.Internal),
				app.Do[payment.Capture]("capture", app.Internal),
				app.Do[payment.DeclineCapture]("decline-capture", app.Internal),
				app.Do[payment.Void]("void", app.Internal),
				app.Do[payment.Refund]("refund", app.Internal))},
		Routes: func(s *app.Service, a *httpapi.API) {
			httpapi.Read(a, "/v1/payments/{order_id}", httpapi.NoParams, reads{s}.payment)
			a.Access(httpapi.Access{Stream: category + "-{order_id}"})
		},
	}
}

type reads struct{ *app.Service }

// view is a payment as it is read. Amounts are in minor units of the currency.
type view struct {
	OrderID         string `json:"order_id"`
	Currency        string `json:"currency"`
	AuthorizedMinor int64  `json:"authorized_minor"`
	CapturedMinor   int64  `json:"captured_minor"`
	RefundedMinor   int64  `json:"refunded_minor"`
	// Voided says that what was not captured is given up.
	Voided  bool `json:"voided"`
	version int64
}

// StreamVersion implements httpapi.Versioned.
func (v view) StreamVersion() int64 { return v.version }

// payment answers with the state of the stream, so with all that was written.
func (r reads) payment(ctx context.Context, in httpapi.ReadRequest[struct{}]) (view, error) {
	id := in.Path("order_id")
	if goods.CheckID("/order_id", id) != nil { // no order can have it
		return view{}, queries.ErrNotFound
	}
	state, version, err := r.Commands.State(ctx, category+"-"+id, commands.Moment{})
	if err == nil && version < 0 {
		err = queries.ErrNotFound
	}
	p, _ := state.(payment.Payment)
	return view{id, p.Currency, p.AuthorizedMinor, p.CapturedMinor, p.RefundedMinor, p.Voided, version}, err
}

// Service asks a gateway. Its methods return when the answer is in the log: errors are those of package gateway, and those of recording it.
// After each but *gateway.DeclinedError whoever called asks again, with the same request.
type Service struct{ Gateway gateway.Gateway }

// Authorize holds an amount, once for an order.
func (s Service) Authorize(ctx context.Context, log *app.Service, r gateway.Request) error {
	return s.ask(ctx, log, gateway.Authorize, s.Gateway.Authorize, r)
}

// Capture takes an amount that is held.
func (s Service) Capture(ctx context.Context, log *app.Service, r gateway.Request) error {
	return s.ask(ctx, log, gateway.Capture, s.Gateway.Capture, r)
}

// Void gives up what is held, or is about to be.
func (s Service) Void(ctx context.Context, log *app.Service, r gateway.Request) error {
	return s.ask(ctx, log, gateway.Void, s.Gateway.Void, r)
}

// Refund gives back what was captured.
func (s Service) Refund(ctx context.Context, log *app.Service, r gateway.Request) error {
	return s.ask(ctx, log, gateway.Refund, s.Gateway.Refund, r)
}

func (s Service) ask(ctx context.Context, log *app.Service, op gateway.Operation, do func(context.Context, gateway.Request) (gateway.Answer, error), r gateway.Request) error {
	a, err := do(ctx, r)
	var declined *gateway.DeclinedError
	switch {
	case errors.As(err, &declined):
		a = gateway.Answer{Operation: op, Key: r.Key, OrderID: r.OrderID, AmountMinor: r.AmountMinor, Currency: r.Currency, Declined: declined.Reason, At: cmp.Or(a.At, time.Now())}
	case err != nil:
		return err
	}
	return cmp.Or(record(ctx, log, a), err)
}

// Record writes down what a gateway answers by itself: late, or once more. An answer that is there already is nothing to do, nor is one to an
// authorization that was given up meanwhile. What caused it, unless the context says so, is the step of a saga that has its key, else that the
// order was placed.
func Record(ctx context.Context, log *app.Service, a gateway.Answer) error {
	if log.Sagas != nil && !commands.HasCause(ctx) {
		why, err := log.Sagas.Because(ctx, a.Key)
		if err != nil {
			return err
		}
		ctx = commands.WithCause(ctx, why)
	}
	if !commands.HasCause(ctx) {
		for placed, err := range log.Log.ReadStream(ctx, "order-"+a.OrderID, eventstore.ReadOptions{Limit: 1}) {
			if err != nil && !errors.Is(err, eventstore.ErrStreamNotFound) {
				return err
			}
			if err == nil {
				ctx = commands.WithCause(ctx, commands.CausedBy(&placed))
			}
		}
	}
	return record(ctx, log, a)
}

func record(ctx context.Context, log *app.Service, a gateway.Answer) error {
	command := a.Command()
	if command == nil {
		return nil
	}
	verb := string(a.Operation)
	switch {
	case a.Declined != "" && a.Operation == gateway.Capture:
		verb = "decline-capture"
	case a.Declined != "":
		verb = "decline"
	}
	_, err := log.Do(ctx, category+"."+verb, a.OrderID, command, commands.Options{})
	if err != nil && !(a.Operation == gateway.Authorize && errors.Is(err, payment.ErrVoided)) {
		return fmt.Errorf("record the answer to %s for order %s: %w", a.Operation, a.OrderID, err)
	}
	return nil
}
