package shop

import (
	"iter"
	"time"

	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/projections"
)

// The kinds of entries in a customer's history.
const (
	kindOrder  = "order"
	kindReturn = "return"
)

// statusReturned is the one status that a return can have.
const statusReturned = "returned"

// historyKey names an entry in a customer's history.
type historyKey struct {
	CustomerID string
	// Kind is kindOrder or kindReturn.
	Kind string
	// ID is that of the order or the return.
	ID string
}

// historyRow is an entry in a customer's history.
type historyRow struct {
	// At is when the order was placed, or the return accepted.
	At       time.Time
	Country  string
	Currency string
	// Status is an order.Status, or statusReturned.
	Status     string
	TotalMinor int64
}

// customerHistory has the orders and the returns of every customer. Guests have
// no history.
var customerHistory = newCustomerHistory()

func newCustomerHistory() *projections.Fold[historyKey, historyRow] {
	f := projections.NewFold[historyKey, historyRow](projections.Table{Name: "customer_history", Version: 1, Indexes: []projections.Index{
		{Columns: []string{"customer_id", "at"}},
	}})
	enters(f, func(e order.Placed) (*string, historyKey, historyRow) {
		return e.CustomerID, historyKey{Kind: kindOrder, ID: e.ID}, historyRow{
			At: e.At, Country: e.Country, Currency: e.Currency, Status: string(order.StatusPlaced), TotalMinor: e.TotalMinor}
	})
	enters(f, func(e returns.Returned) (*string, historyKey, historyRow) {
		return e.CustomerID, historyKey{Kind: kindReturn, ID: e.ID}, historyRow{
			At: e.At, Country: e.Country, Currency: e.Currency, Status: statusReturned, TotalMinor: e.TotalMinor}
	})
	historyBecomes(f, order.StatusConfirmed, func(e order.Confirmed) (*string, string) { return e.CustomerID, e.ID })
	historyBecomes(f, order.StatusShipped, func(e order.Shipped) (*string, string) { return e.CustomerID, e.ID })
	historyBecomes(f, order.StatusCompleted, func(e order.Completed) (*string, string) { return e.CustomerID, e.ID })
	historyBecomes(f, order.StatusCancelled, func(e order.Cancelled) (*string, string) { return e.CustomerID, e.ID })
	return f
}

type historyFold = projections.Fold[historyKey, historyRow]

// enters says which entry an E makes, and for whom.
func enters[E any](f *historyFold, entry func(E) (customerID *string, key historyKey, row historyRow)) {
	keys := func(e E, _ projections.Recorded) iter.Seq2[historyKey, historyRow] {
		return func(yield func(historyKey, historyRow) bool) {
			if customer, key, row := entry(e); customer != nil {
				key.CustomerID = *customer
				yield(key, row)
			}
		}
	}
	projections.UpsertEach(f, keys, func(h *historyRow, row historyRow, _ projections.Recorded) error {
		*h = row
		return nil
	})
}

// historyBecomes says that an E gives the order in it a status.
func historyBecomes[E order.Event](f *historyFold, status order.Status, of func(E) (customerID *string, id string)) {
	keys := func(e E, _ projections.Recorded) iter.Seq2[historyKey, order.Status] {
		return func(yield func(historyKey, order.Status) bool) {
			if customer, id := of(e); customer != nil {
				yield(historyKey{CustomerID: *customer, Kind: kindOrder, ID: id}, status)
			}
		}
	}
	projections.UpsertEach(f, keys, func(h *historyRow, status order.Status, _ projections.Recorded) error {
		h.Status = string(status)
		return nil
	})
}
