package payment

import (
	"cmp"
	"slices"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
)

// Payment is the state that decisions are made from. The zero value is an order
// for which nothing was authorized. Amounts are in minor units of the currency.
type Payment struct {
	Currency        string `json:"currency"`
	AuthorizedMinor int64  `json:"authorized_minor"`
	CapturedMinor   int64  `json:"captured_minor"`
	RefundedMinor   int64  `json:"refunded_minor"`
	// Voided says that what was not captured is given up.
	Voided bool `json:"voided"`
	// Steps are what was done, in order.
	Steps []Step `json:"steps,omitempty"`
}

// Step is something that was done under an idempotency key.
type Step struct {
	Key string `json:"key"`
	// Do is one of authorize, decline, capture, decline-capture, void, refund.
	Do string `json:"do"`
	// AmountMinor is 0 for what was declined, and for void.
	AmountMinor int64 `json:"amount_minor"`
}

// Values of Step.Do.
const (
	doAuthorize = "authorize"
	doDecline   = "decline"
	doCapture   = "capture"
	doVoid      = "void"
	doRefund    = "refund"

	doDeclineCapture = "decline-capture"
)

// Event is something that happened to the payment of an order.
type Event interface {
	// Evolve returns the payment as it is after the event.
	Evolve(Payment) Payment
}

// Capturable returns how much is held and not captured.
func (p Payment) Capturable() int64 {
	if p.Voided {
		return 0
	}
	return p.AuthorizedMinor - p.CapturedMinor
}

// Refundable returns how much was captured and not refunded.
func (p Payment) Refundable() int64 { return p.CapturedMinor - p.RefundedMinor }

// CaptureKey returns the key of the first capture; "" if nothing was captured.
func (p Payment) CaptureKey() string {
	for _, s := range p.Steps {
		if s.Do == doCapture {
			return s.Key
		}
	}
	return ""
}

// isDone says whether a step was done before. The error is ErrKeyReused if
// another one was done under its key.
func (p Payment) isDone(s Step) (bool, error) {
	for _, done := range p.Steps {
		if done == s {
			return true, nil
		}
		if done.Key == s.Key {
			return false, ErrKeyReused
		}
	}
	return false, nil
}

// expectOpen refuses to authorize, or to be declined, after all was said.
func (p Payment) expectOpen() error {
	switch {
	case p.Voided:
		return ErrVoided
	case p.AuthorizedMinor != 0:
		return ErrAlreadyAuthorized
	}
	return nil
}

// with returns the payment with one more step.
func (p Payment) with(s Step) Payment {
	p.Steps = append(slices.Clip(p.Steps), s)
	return p
}

// move is what Capture and Refund have in common: it agrees to a step of at most
// left; done says that it was done before.
func (p Payment) move(orderID string, s Step, left int64) (done bool, _ error) {
	done, err := p.isDone(s)
	if !done && err == nil && s.AmountMinor > left {
		err = &AmountError{Do: s.Do, OrderID: orderID, WantedMinor: s.AmountMinor, LeftMinor: left}
	}
	return done, err
}

// add is used by Evolve, which cannot refuse an amount.
func add(a, b int64) int64 { return money.AddSaturating(a, b) }

// check checks what every command has.
func check(orderID, key string, at time.Time) (time.Time, error) {
	at, err := goods.BusinessTime("/at", at)
	return at, cmp.Or(goods.CheckID("/order_id", orderID), goods.CheckKey("/key", key), err)
}

// checkMoved is check for a command with an amount.
func checkMoved(orderID, key string, minor int64, at time.Time) (time.Time, error) {
	at, err := check(orderID, key, at)
	return at, cmp.Or(err, goods.CheckAmount("/amount_minor", minor))
}
