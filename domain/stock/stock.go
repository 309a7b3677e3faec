package stock

import (
	"cmp"
	"maps"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// MaxOnHand bounds the units on hand, since they travel as a JSON number.
const MaxOnHand = 1<<53 - 1

// Stock is the state that decisions are made from. The zero value is an article
// that was never received. Numbers are in units.
type Stock struct {
	OnHand int64 `json:"on_hand"`
	// Reserved is the sum of Reservations.
	Reserved int64 `json:"reserved"`
	// Reservations has what each order has reserved, by the order's id; never
	// zero. It is nil if there is none, so that equal stocks are deeply equal.
	Reservations map[string]int64 `json:"reservations,omitempty"`
}

// Available returns how many units can still be reserved.
func (s Stock) Available() int64 { return s.OnHand - s.Reserved }

// Event is something that happened to the stock of an article.
type Event interface {
	// Evolve returns the stock as it is after the event.
	Evolve(Stock) Stock
}

// expectRoom refuses to have more than MaxOnHand units on hand.
func (s Stock) expectRoom(quantity int64) error {
	if quantity > MaxOnHand-s.OnHand {
		return &OverflowError{Quantity: quantity, OnHand: s.OnHand}
	}
	return nil
}

// expectAvailable refuses to do something with more than is available.
func (s Stock) expectAvailable(do string, quantity int64) error {
	if quantity > s.Available() {
		return &InsufficientError{Do: do, Wanted: quantity, Available: s.Available(), Reserved: s.Reserved}
	}
	return nil
}

// expectReserved refuses to do something with more than the order has reserved.
func (s Stock) expectReserved(do, orderID string, quantity int64) error {
	if reserved := s.Reservations[orderID]; quantity > reserved {
		return &NotReservedError{Do: do, OrderID: orderID, Wanted: quantity, Reserved: reserved}
	}
	return nil
}

// reserve adds delta to what the order has reserved.
func (s Stock) reserve(orderID string, delta int64) Stock {
	reservations := maps.Clone(s.Reservations)
	if reservations == nil {
		reservations = make(map[string]int64)
	}
	reservations[orderID] = add(reservations[orderID], delta)
	if reservations[orderID] == 0 {
		delete(reservations, orderID)
	}
	if len(reservations) == 0 {
		reservations = nil
	}
	s.Reservations = reservations
	s.Reserved = add(s.Reserved, delta)
	return s
}

// add returns a + b, or the bound that it would cross. Decide never lets it come
// to that; but what is in a log was not always decided here, and a number that
// wraps around would turn too many units into too few.
func add(a, b int64) int64 { return bounded(bounded(a) + bounded(b)) }

// subtract is add of -b.
func subtract(a, b int64) int64 { return add(a, -bounded(b)) }

func bounded(n int64) int64 { return min(max(n, -MaxOnHand), MaxOnHand) }

// check checks what every command about an order's reservation has.
func check(sku, orderID string, quantity int64, at time.Time) (time.Time, error) {
	at, err := goods.BusinessTime("/at", at)
	return at, cmp.Or(
		goods.CheckSKU("/sku", sku),
		goods.CheckID("/order_id", orderID),
		goods.CheckQuantity("/quantity", quantity),
		err,
	)
}
