package order_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
)

func Example() {
	now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	place := order.Place{
		ID: "42", Country: "United Kingdom", Currency: "GBP", At: now,
		Lines: []goods.Line{{SKU: "MUG-1A", Quantity: 6, UnitPriceMinor: 240}},
	}
	var o order.Order
	for _, c := range []command{place, order.Ship{At: now}, order.Confirm{At: now}} {
		events, err := c.Decide(o)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, e := range events {
			o = e.Evolve(o)
			data, _ := json.Marshal(e)
			fmt.Printf("%T %s\n", e, data)
		}
	}
	// Output:
	// order.Placed {"id":"42","customer_id":null,"country":"United Kingdom","currency":"GBP","lines":[{"sku":"MUG-1A","description":"","quantity":6,"unit_price_minor":240}],"total_minor":1440,"placed_at":"2026-03-01T10:30:00Z"}
	// order 42 cannot be shipped: it is placed (it can only be shipped when confirmed)
	// order.Confirmed {"id":"42","customer_id":null,"at":"2026-03-01T10:30:00Z"}
}
