package shop

import (
	"cmp"

	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/projections"
)

// stockRow is the stock of one article, in units.
type stockRow struct {
	OnHand   int64
	Reserved int64
	// Version is that of the last event in the article's stream.
	Version int64
}

// stockLevels has every article that was ever received or adjusted.
var stockLevels = newStockLevels()

func newStockLevels() *projections.Fold[string, stockRow] {
	f := projections.NewFold[string, stockRow](projections.Table{Name: "stock_levels", Version: 1, Key: []string{"sku"}})
	moves(f, func(e stock.Received) (string, stockRow) { return e.SKU, stockRow{OnHand: e.Quantity} })
	moves(f, func(e stock.Adjusted) (string, stockRow) { return e.SKU, stockRow{OnHand: e.Delta} })
	moves(f, func(e stock.Reserved) (string, stockRow) { return e.SKU, stockRow{Reserved: e.Quantity} })
	moves(f, func(e stock.Released) (string, stockRow) { return e.SKU, stockRow{Reserved: -e.Quantity} })
	moves(f, func(e stock.Committed) (string, stockRow) {
		return e.SKU, stockRow{OnHand: -e.Quantity, Reserved: -e.Quantity}
	})
	return f
}

// moves says which article an E moves, and by how much.
func moves[E stock.Event](f *projections.Fold[string, stockRow], by func(E) (sku string, difference stockRow)) {
	key := func(e E, _ projections.Recorded) string {
		sku, _ := by(e)
		return sku
	}
	projections.Upsert(f, key, func(s *stockRow, e E, r projections.Recorded) error {
		_, d := by(e)
		s.Version = r.Version
		return cmp.Or(addTo(&s.OnHand, d.OnHand), addTo(&s.Reserved, d.Reserved))
	})
}
