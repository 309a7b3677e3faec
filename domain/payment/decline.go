package payment

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Decline records that the gateway does not hold the amount it was asked for.
type Decline struct {
	OrderID string
	Key     string
	// Reason says why, in words for people.
	Reason string
	// At is when it was declined.
	At time.Time
}

// CreatesStream implements commands.Creator.
func (Decline) CreatesStream() {}

// Decide agrees if nothing was authorized for the order, and it was not voided.
func (c Decline) Decide(p Payment) ([]Event, error) {
	at, err := check(c.OrderID, c.Key, c.At)
	if err = cmp.Or(err, goods.CheckReason("/reason", c.Reason)); err != nil {
		return nil, err
	}
	if done, err := p.isDone(Step{Key: c.Key, Do: doDecline}); done || err != nil {
		return nil, err
	}
	if err := p.expectOpen(); err != nil {
		return nil, err
	}
	return []Event{Declined{OrderID: c.OrderID, Key: c.Key, Reason: c.Reason, At: at}}, nil
}

// Declined says that a gateway did not hold what it was asked for.
type Declined struct {
	OrderID string    `json:"order_id"`
	Key     string    `json:"key"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Evolve keeps the key: its outcome is known.
func (e Declined) Evolve(p Payment) Payment { return p.with(Step{Key: e.Key, Do: doDecline}) }
