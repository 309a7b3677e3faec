package payment

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Authorize records that the gateway holds an amount on a card.
type Authorize struct {
	OrderID string
	Key     string
	// AmountMinor is from 1 to goods.MaxTotalMinor.
	AmountMinor int64
	// Currency is an ISO 4217 code.
	Currency string
	// At is when it was authorized.
	At time.Time
}

// CreatesStream implements commands.Creator.
func (Authorize) CreatesStream() {}

// Decide agrees if nothing was authorized for the order, and it was not voided.
func (c Authorize) Decide(p Payment) ([]Event, error) {
	at, err := checkMoved(c.OrderID, c.Key, c.AmountMinor, c.At)
	if err = cmp.Or(err, goods.CheckCurrency("/currency", c.Currency)); err != nil {
		return nil, err
	}
	if done, err := p.isDone(Step{c.Key, doAuthorize, c.AmountMinor}); done || err != nil {
		return nil, err
	}
	if err := p.expectOpen(); err != nil {
		return nil, err
	}
	return []Event{Authorized{OrderID: c.OrderID, Key: c.Key, AmountMinor: c.AmountMinor, Currency: c.Currency, At: at}}, nil
}

// Authorized says that an amount is held for an order.
type Authorized struct {
	OrderID     string    `json:"order_id"`
	Key         string    `json:"key"`
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	At          time.Time `json:"at"`
}

// Evolve makes the payment an authorized one.
func (e Authorized) Evolve(p Payment) Payment {
	p.Currency, p.AuthorizedMinor = e.Currency, add(p.AuthorizedMinor, e.AmountMinor)
	return p.with(Step{e.Key, doAuthorize, e.AmountMinor})
}
