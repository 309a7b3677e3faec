package gateway

import (
	"context"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/payment"
)

// Gateway is a payment gateway. Its methods return an answer, or an error of this
// package; an error of any other kind is to be taken for ErrUnknown. They are safe
// for concurrent use.
type Gateway interface {
	// Authorize holds an amount on a card, once for an order.
	Authorize(context.Context, Request) (Answer, error)
	// Capture takes some or all of what is held.
	Capture(context.Context, Request) (Answer, error)
	// Void gives up what is held and not captured. The request has no amount, the
	// answer has it. An order of which the gateway has not heard can be voided: an
	// authorization that comes later is declined.
	Void(context.Context, Request) (Answer, error)
	// Refund gives back some or all of what was captured.
	Refund(context.Context, Request) (Answer, error)
}

// Operation is what a gateway was asked to do.
type Operation string

// The operations.
const (
	Authorize Operation = "authorize"
	Capture   Operation = "capture"
	Void      Operation = "void"
	Refund    Operation = "refund"
)

// Request asks for an operation.
type Request struct {
	// Key is the idempotency key, see goods.CheckKey.
	Key     string
	OrderID string
	// AmountMinor is from 1, in minor units of the currency; Void has none.
	AmountMinor int64
	// Currency is an ISO 4217 code, that of the authorization.
	Currency string
	// Card is the gateway's token for a card. Only Authorize has one.
	Card string
}

// Answer says what became of a request.
type Answer struct {
	Operation Operation `json:"operation"`
	Key       string    `json:"key"`
	OrderID   string    `json:"order_id"`
	// AmountMinor is what was held, taken, given up or given back; of a request that
	// was declined, what was asked for.
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	// Declined says why nothing was done, see goods.CheckReason; empty if it was done.
	Declined string    `json:"declined,omitempty"`
	At       time.Time `json:"at"`
}

// Err returns a *DeclinedError if nothing was done.
func (a Answer) Err() error {
	if a.Declined == "" {
		return nil
	}
	return &DeclinedError{Operation: a.Operation, OrderID: a.OrderID, Reason: a.Declined}
}

// Command returns what records the answer in the payment of the order; nil if
// there is nothing to record, for a void or a refund was declined.
func (a Answer) Command() commands.Command[payment.Payment, payment.Event] {
	switch {
	case a.Operation == Authorize && a.Declined != "":
		return payment.Decline{OrderID: a.OrderID, Key: a.Key, Reason: a.Declined, At: a.At}
	case a.Operation == Capture && a.Declined != "":
		return payment.DeclineCapture{OrderID: a.OrderID, Key: a.Key, Reason: a.Declined, At: a.At}
	case a.Declined != "":
		return nil
	case a.Operation == Authorize:
		return payment.Authorize{OrderID: a.OrderID, Key: a.Key, AmountMinor: a.AmountMinor, Currency: a.Currency, At: a.At}
	case a.Operation == Capture:
		return payment.Capture{OrderID: a.OrderID, Key: a.Key, AmountMinor: a.AmountMinor, At: a.At}
	case a.Operation == Void:
		return payment.Void{OrderID: a.OrderID, Key: a.Key, At: a.At}
	case a.Operation == Refund:
		return payment.Refund{OrderID: a.OrderID, Key: a.Key, AmountMinor: a.AmountMinor, At: a.At}
	}
	return nil
}
