package stock

import (
	"cmp"
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Adjust brings the books in line with the shelf: goods were counted again,
// damaged, lost or found.
type Adjust struct {
	SKU string
	// Delta is added to what is on hand; it may be negative and is not zero. Its
	// magnitude is at most goods.MaxQuantity.
	Delta int64
	// Reason says why, in words for people.
	Reason string
	// At is when it was found out.
	At time.Time
}

// Decide agrees if what is left covers what is reserved, and is not more than
// MaxOnHand.
func (c Adjust) Decide(s Stock) ([]Event, error) {
	at, err := c.check()
	if err != nil {
		return nil, err
	}
	if err := s.expectAvailable("take off", -c.Delta); err != nil {
		return nil, err
	}
	if err := s.expectRoom(c.Delta); err != nil {
		return nil, err
	}
	return []Event{Adjusted{SKU: c.SKU, Delta: c.Delta, Reason: c.Reason, At: at}}, nil
}

func (c Adjust) check() (time.Time, error) {
	at, err := goods.BusinessTime("/at", c.At)
	return at, cmp.Or(
		goods.CheckSKU("/sku", c.SKU),
		checkDelta(c.Delta),
		goods.CheckReason("/reason", c.Reason),
		err,
	)
}

func checkDelta(delta int64) error {
	if delta == 0 || delta < -goods.MaxQuantity || delta > goods.MaxQuantity {
		return &goods.InvalidError{
			Field:  "/delta",
			Reason: fmt.Sprintf("must be from %d to %d and not zero, it is %d", -goods.MaxQuantity, goods.MaxQuantity, delta),
		}
	}
	return nil
}

// Adjusted says that the books were brought in line with the shelf.
type Adjusted struct {
	SKU    string    `json:"sku"`
	Delta  int64     `json:"delta"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Evolve adds the difference to what is on hand.
func (e Adjusted) Evolve(s Stock) Stock {
	s.OnHand = add(s.OnHand, e.Delta)
	return s
}
