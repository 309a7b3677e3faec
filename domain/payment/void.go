package payment

import "time"

// Void records that the gateway has given up what it held and has not captured.
type Void struct {
	OrderID string
	Key     string
	// At is when it was voided.
	At time.Time
}

// Decide agrees, even if nobody has heard of an authorization. It refuses only
// while nothing is left but what was captured. If the payment was voided, or all
// that was captured is refunded, there is nothing to do.
func (c Void) Decide(p Payment) ([]Event, error) {
	at, err := check(c.OrderID, c.Key, c.At)
	if err != nil {
		return nil, err
	}
	if done, err := p.isDone(Step{Key: c.Key, Do: doVoid}); done || err != nil {
		return nil, err
	}
	left := p.Capturable()
	switch {
	case p.Voided:
		return nil, nil
	case left <= 0 && p.Refundable() > 0:
		return nil, ErrCaptured
	case left <= 0 && p.AuthorizedMinor != 0:
		return nil, nil
	}
	return []Event{Voided{OrderID: c.OrderID, Key: c.Key, AmountMinor: max(left, 0), Currency: p.Currency, At: at}}, nil
}

// Voided says that nothing more will be captured for an order.
type Voided struct {
	OrderID string `json:"order_id"`
	Key     string `json:"key"`
	// AmountMinor is what was held and not captured; 0 if nobody had heard of an
	// authorization, and then there is no Currency.
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency,omitempty"`
	At          time.Time `json:"at"`
}

// Evolve makes the payment a voided one.
func (e Voided) Evolve(p Payment) Payment {
	p.Voided = true
	return p.with(Step{Key: e.Key, Do: doVoid})
}
