package stock

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// ReserveOrder keeps units for all lines of an order: all of them, or none.
type ReserveOrder struct {
	OrderID string
	Lines   []goods.Line
	// At is when they were reserved.
	At time.Time `app:"time"`
}

// Order is the id of the order.
func (c ReserveOrder) Order() string { return c.OrderID }

// Each returns what is to be reserved for each line. All are decided one after another, and if one is refused nothing is written.
func (c ReserveOrder) Each() []Reserve {
	all := make([]Reserve, len(c.Lines))
	for i, l := range c.Lines {
		all[i] = Reserve{SKU: l.SKU, OrderID: c.OrderID, Quantity: l.Quantity, At: c.At}
	}
	return all
}

// ReleaseOrder gives back whatever an order has reserved of the articles of its lines.
type ReleaseOrder struct {
	OrderID string
	Lines   []goods.Line
	// At is when they were released.
	At time.Time `app:"time"`
}

// Order is the id of the order.
func (c ReleaseOrder) Order() string { return c.OrderID }

// Each returns what is to be released of each article.
func (c ReleaseOrder) Each() (all []ReleaseAll) {
	for sku := range goods.PerSKU(c.Lines) {
		all = append(all, ReleaseAll{SKU: sku, OrderID: c.OrderID, At: c.At})
	}
	return all
}

// CommitOrder lets whatever an order has reserved of the articles of its lines leave the house.
type CommitOrder struct {
	OrderID string
	Lines   []goods.Line
	// At is when they left.
	At time.Time `app:"time"`
}

// Order is the id of the order.
func (c CommitOrder) Order() string { return c.OrderID }

// Each returns what is to leave of each article.
func (c CommitOrder) Each() (all []CommitAll) {
	for sku := range goods.PerSKU(c.Lines) {
		all = append(all, CommitAll{SKU: sku, OrderID: c.OrderID, At: c.At})
	}
	return all
}
