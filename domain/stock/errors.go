package stock

import (
	"errors"
	"fmt"
)

var (
	// ErrInsufficient is matched by *InsufficientError.
	ErrInsufficient = errors.New("not enough units are available")
	// ErrNotReserved is matched by *NotReservedError.
	ErrNotReserved = errors.New("order has not reserved as many units")
	// ErrOverflow is matched by *OverflowError.
	ErrOverflow = errors.New("more units on hand than can be counted")
)

// InsufficientError is returned when more units are wanted, for an order or to
// take off the books, than are available.
type InsufficientError struct {
	// Do is what should have been done: reserve or take off.
	Do                          string
	Wanted, Available, Reserved int64
}

// Error says, for example, "cannot reserve 5: 3 available (7 more are reserved);
// receive goods or release reservations first".
func (e *InsufficientError) Error() string {
	return fmt.Sprintf("cannot %s %d: %d available (%d more are reserved); receive goods or release reservations first",
		e.Do, e.Wanted, e.Available, e.Reserved)
}

// Is matches ErrInsufficient.
func (e *InsufficientError) Is(target error) bool { return target == ErrInsufficient }

// NotReservedError is returned when an order is to release or commit more than
// it has reserved.
type NotReservedError struct {
	// Do is what should have been done: release or commit.
	Do               string
	OrderID          string
	Wanted, Reserved int64
}

// Error says, for example, "cannot commit 5 for order 42: it has 3 reserved".
func (e *NotReservedError) Error() string {
	return fmt.Sprintf("cannot %s %d for order %s: it has %d reserved", e.Do, e.Wanted, e.OrderID, e.Reserved)
}

// Is matches ErrNotReserved.
func (e *NotReservedError) Is(target error) bool { return target == ErrNotReserved }

// OverflowError is returned when there would be more than MaxOnHand units.
type OverflowError struct{ Quantity, OnHand int64 }

func (e *OverflowError) Error() string {
	return fmt.Sprintf("cannot add %d to %d on hand: there can be at most %d", e.Quantity, e.OnHand, int64(MaxOnHand))
}

// Is matches ErrOverflow.
func (e *OverflowError) Is(target error) bool { return target == ErrOverflow }
