package shop_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/shop"
)

// The shop runs on any event store; here on one in memory.
func Example() {
	ctx := context.Background()
	store := memstore.New(memstore.Config{})
	defer store.Close(ctx)
	s, err := app.NewCommands(shop.App(), store, app.CommandsConfig{})
	if err != nil {
		log.Fatal(err)
	}

	now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	done, err := s.Do(ctx, "order.place", "42", order.Place{
		ID: "42", Country: "United Kingdom", Currency: "GBP", At: now,
		Lines: []goods.Line{{SKU: "MUG-1A", Quantity: 6, UnitPriceMinor: 240}},
	}, commands.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Stream, "is at version", done.Version)

	_, err = s.Do(ctx, "order.ship", "42", order.Ship{At: now}, commands.Options{})
	fmt.Println(err)

	for e, err := range store.ReadStream(ctx, "order-42", eventstore.ReadOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Type, string(e.Data))
	}
	// Output:
	// order-42 is at version 0
	// command refused by stream "order-42" at version 0: order 42 cannot be shipped: it is placed (it can only be shipped when confirmed)
	// OrderPlaced {"id":"42","customer_id":null,"country":"United Kingdom","currency":"GBP","lines":[{"sku":"MUG-1A","description":"","quantity":6,"unit_price_minor":240}],"total_minor":1440,"placed_at":"2026-03-01T10:30:00Z"}
}
