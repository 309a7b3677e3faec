package stock

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// ErrReservationClosed is returned by ReserveOrder and CommitOrder for an order whose reservation has come to its end.
var ErrReservationClosed = errors.New("reservation of the order is closed: nothing is reserved for it any more")

// ReservationStatus is how far the reservation of an order has come. The zero value is an order of which the stock has not heard.
type ReservationStatus string

// The statuses. All but the first are ends.
const (
	ReservationMade      ReservationStatus = "reserved"
	ReservationRefused   ReservationStatus = "refused"
	ReservationReleased  ReservationStatus = "released"
	ReservationHandedOut ReservationStatus = "handed-out"
)

// Reservation is what is kept for an order, over all articles: the state that commands about whole orders are decided from. It says what comes
// next, so that nothing is done twice, and nothing is reserved for an order that was released before.
type Reservation struct {
	OrderID string            `json:"order_id"`
	Status  ReservationStatus `json:"status"`
}

// ReservationEvent is something that happened to the reservation of an order. What it does to articles is in their streams.
type ReservationEvent interface {
	// Evolve returns the reservation as it is after the event.
	Evolve(Reservation) Reservation
}

// Decide agrees if nothing was reserved or refused before; if all is reserved there is nothing to do. Each says what is to be decided besides.
func (c ReserveOrder) Decide(r Reservation) ([]ReservationEvent, error) {
	at, err := checkOrder(c.OrderID, c.Lines, c.At)
	switch {
	case err != nil || r.Status == ReservationMade:
		return nil, err
	case r.Status != "":
		return nil, fmt.Errorf("%w: it is %s", ErrReservationClosed, r.Status)
	}
	return []ReservationEvent{OrderReserved{OrderID: c.OrderID, At: at}}, nil
}

// RefuseOrder says that there is too little for an order.
type RefuseOrder struct {
	OrderID string
	// Reason says why, in words for people.
	Reason string
	// At is when it was refused.
	At time.Time `app:"time"`
}

// Decide agrees. If the order has a reservation, or had one, there is nothing to do.
func (c RefuseOrder) Decide(r Reservation) ([]ReservationEvent, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckID("/order_id", c.OrderID), goods.CheckReason("/reason", c.Reason), err); err != nil || r.Status != "" {
		return nil, err
	}
	return []ReservationEvent{OrderRefused{OrderID: c.OrderID, Reason: c.Reason, At: at}}, nil
}

// Decide agrees, also if nothing was reserved: nothing can be from then on. If nothing can be already there is nothing to do.
func (c ReleaseOrder) Decide(r Reservation) ([]ReservationEvent, error) {
	at, err := checkOrder(c.OrderID, c.Lines, c.At)
	if err != nil || r.Status != "" && r.Status != ReservationMade {
		return nil, err
	}
	return []ReservationEvent{OrderReleased{OrderID: c.OrderID, At: at}}, nil
}

// Decide agrees, unless what was reserved is released; if it has left the house there is nothing to do.
func (c CommitOrder) Decide(r Reservation) ([]ReservationEvent, error) {
	at, err := checkOrder(c.OrderID, c.Lines, c.At)
	switch {
	case err != nil || r.Status == ReservationHandedOut:
		return nil, err
	case r.Status != "" && r.Status != ReservationMade:
		return nil, fmt.Errorf("%w: it is %s", ErrReservationClosed, r.Status)
	}
	return []ReservationEvent{OrderHandedOut{OrderID: c.OrderID, At: at}}, nil
}

// OrderReserved says that units are kept for all lines of an order.
type OrderReserved struct {
	OrderID string    `json:"order_id"`
	At      time.Time `json:"at"`
}

// Evolve makes the reservation.
func (e OrderReserved) Evolve(Reservation) Reservation {
	return Reservation{e.OrderID, ReservationMade}
}

// OrderRefused says that there is too little for an order, and nothing is kept for it.
type OrderRefused struct {
	OrderID string    `json:"order_id"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Evolve closes the reservation.
func (e OrderRefused) Evolve(Reservation) Reservation {
	return Reservation{e.OrderID, ReservationRefused}
}

// OrderReleased says that nothing is kept for an order, and nothing will be.
type OrderReleased struct {
	OrderID string    `json:"order_id"`
	At      time.Time `json:"at"`
}

// Evolve closes the reservation.
func (e OrderReleased) Evolve(Reservation) Reservation {
	return Reservation{e.OrderID, ReservationReleased}
}

// OrderHandedOut says that what was kept for an order has left the house.
type OrderHandedOut struct {
	OrderID string    `json:"order_id"`
	At      time.Time `json:"at"`
}

// Evolve closes the reservation.
func (e OrderHandedOut) Evolve(Reservation) Reservation {
	return Reservation{e.OrderID, ReservationHandedOut}
}

func checkOrder(orderID string, lines []goods.Line, at time.Time) (time.Time, error) {
	at, err := goods.BusinessTime("/at", at)
	if err == nil && len(lines) == 0 {
		err = &goods.InvalidError{Field: "/lines", Reason: "must have a line or more"}
	}
	return at, cmp.Or(goods.CheckID("/order_id", orderID), err)
}
