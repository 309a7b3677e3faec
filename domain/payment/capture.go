package payment

import "time"

// Capture records that the gateway has taken some or all of what it holds.
type Capture struct {
	OrderID string
	Key     string
	// AmountMinor is from 1 to what is held and not captured.
	AmountMinor int64
	// At is when it was captured.
	At time.Time
}

// Decide agrees if as much is held and not captured.
func (c Capture) Decide(p Payment) ([]Event, error) {
	at, err := checkMoved(c.OrderID, c.Key, c.AmountMinor, c.At)
	if err != nil {
		return nil, err
	}
	if done, err := p.move(c.OrderID, Step{c.Key, doCapture, c.AmountMinor}, p.Capturable()); done || err != nil {
		return nil, err
	}
	return []Event{Captured{OrderID: c.OrderID, Key: c.Key, AmountMinor: c.AmountMinor, Currency: p.Currency, At: at}}, nil
}

// Captured says that an amount was taken for an order.
type Captured struct {
	OrderID     string    `json:"order_id"`
	Key         string    `json:"key"`
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	At          time.Time `json:"at"`
}

// Evolve adds the amount to what was captured.
func (e Captured) Evolve(p Payment) Payment {
	p.CapturedMinor = add(p.CapturedMinor, e.AmountMinor)
	return p.with(Step{e.Key, doCapture, e.AmountMinor})
}
