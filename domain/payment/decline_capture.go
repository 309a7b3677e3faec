package payment

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// DeclineCapture records that the gateway does not take what it was asked to take.
type DeclineCapture struct {
	OrderID string
	Key     string
	// Reason says why, in words for people.
	Reason string
	// At is when it was declined.
	At time.Time
}

// Decide agrees while something is held and not captured. If nothing is there is nothing to say: it was voided, or captured under another key.
func (c DeclineCapture) Decide(p Payment) ([]Event, error) {
	at, err := check(c.OrderID, c.Key, c.At)
	if err = cmp.Or(err, goods.CheckReason("/reason", c.Reason)); err != nil {
		return nil, err
	}
	if done, err := p.isDone(Step{Key: c.Key, Do: doDeclineCapture}); done || err != nil || p.Capturable() <= 0 {
		return nil, err
	}
	return []Event{CaptureDeclined{OrderID: c.OrderID, Key: c.Key, Reason: c.Reason, At: at}}, nil
}

// CaptureDeclined says that a gateway did not take what it held. It holds it still.
type CaptureDeclined struct {
	OrderID string    `json:"order_id"`
	Key     string    `json:"key"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Evolve keeps the key: its outcome is known.
func (e CaptureDeclined) Evolve(p Payment) Payment {
	return p.with(Step{Key: e.Key, Do: doDeclineCapture})
}
