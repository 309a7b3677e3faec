package queries_test

import (
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
)

// BenchmarkGet compares a read by key with the bare statement.
func BenchmarkGet(b *testing.B) {
	t := newBench(b)
	t.start()
	t.fill()
	b.Run("Get", func(b *testing.B) {
		for b.Loop() {
			if _, err := queries.Get(b.Context(), t.reader, t.orders, "07", eventstore.Token{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			var o order
			err := t.db.Pool.QueryRow(b.Context(), `SELECT customer_id, status, placed_at, total, tags FROM recount.orders_g1 WHERE id = $1`,
				"07").Scan(&o.CustomerID, &o.Status, &o.PlacedAt, &o.Total, &o.Tags)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
