package shop

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/projections"
)

// orderRow is an order as the read model keeps it, by the order's id.
type orderRow struct {
	// CustomerID is nil for a guest.
	CustomerID *string      `json:"customer_id"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	PlacedAt   time.Time    `json:"placed_at"`
	Status     order.Status `json:"status"`
	TotalMinor int64        `json:"total_minor"`
	// Version is that of the order's last event in its stream.
	Version int64 `json:"-"`
}

// orders has every order that was placed. Each filter of the list of orders has
// an index that is in the order of the list; of several filters PostgreSQL
// takes the most selective and checks the others row by row.
var orders = newOrders()

func newOrders() *projections.Fold[string, orderRow] {
	f := projections.NewFold[string, orderRow](projections.Table{Name: "orders", Version: 1, Indexes: []projections.Index{
		{Columns: []string{"placed_at"}},
		{Columns: []string{"customer_id", "placed_at"}},
		{Columns: []string{"status", "placed_at"}},
		{Columns: []string{"country", "placed_at"}},
	}})
	projections.Upsert(f, projections.ByID, func(o *orderRow, e order.Placed, r projections.Recorded) error {
		*o = orderRow{
			CustomerID: e.CustomerID,
			Country:    e.Country,
			Currency:   e.Currency,
			Lines:      e.Lines,
			PlacedAt:   e.At,
			Status:     order.StatusPlaced,
			TotalMinor: e.TotalMinor,
			Version:    r.Version,
		}
		return nil
	})
	orderBecomes[order.Confirmed](f, order.StatusConfirmed)
	orderBecomes[order.Shipped](f, order.StatusShipped)
	orderBecomes[order.Completed](f, order.StatusCompleted)
	orderBecomes[order.Cancelled](f, order.StatusCancelled)
	return f
}

// orderBecomes says that E gives its order a status.
func orderBecomes[E order.Event](f *projections.Fold[string, orderRow], status order.Status) {
	projections.Update(f, projections.ByID, func(o *orderRow, _ E, r projections.Recorded) error {
		o.Status, o.Version = status, r.Version
		return nil
	})
}
