package payment

import "time"

// Refund records that the gateway has given back some or all of what was
// captured.
type Refund struct {
	OrderID string
	Key     string
	// AmountMinor is from 1 to what was captured and not refunded.
	AmountMinor int64
	// At is when it was refunded.
	At time.Time
}

// Decide agrees if as much was captured and not refunded.
func (c Refund) Decide(p Payment) ([]Event, error) {
	at, err := checkMoved(c.OrderID, c.Key, c.AmountMinor, c.At)
	if err != nil {
		return nil, err
	}
	if done, err := p.move(c.OrderID, Step{c.Key, doRefund, c.AmountMinor}, p.Refundable()); done || err != nil {
		return nil, err
	}
	return []Event{Refunded{OrderID: c.OrderID, Key: c.Key, AmountMinor: c.AmountMinor, Currency: p.Currency, At: at}}, nil
}

// Refunded says that an amount was given back for an order.
type Refunded struct {
	OrderID     string    `json:"order_id"`
	Key         string    `json:"key"`
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	At          time.Time `json:"at"`
}

// Evolve adds the amount to what was refunded.
func (e Refunded) Evolve(p Payment) Payment {
	p.RefundedMinor = add(p.RefundedMinor, e.AmountMinor)
	return p.with(Step{e.Key, doRefund, e.AmountMinor})
}
