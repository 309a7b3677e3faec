package returns_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/returns"
)

func Example() {
	events, err := returns.Accept{
		ID: "r-9", Country: "United Kingdom", Currency: "GBP",
		Lines: []goods.Line{{SKU: "DISCOUNT", Description: "late delivery", Quantity: 1, UnitPriceMinor: 500}},
		At:    time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC),
	}.Decide(returns.Return{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, _ := json.Marshal(events[0])
	fmt.Printf("%T %s\n", events[0], data)
	// Output:
	// returns.Returned {"id":"r-9","customer_id":null,"country":"United Kingdom","currency":"GBP","lines":[{"sku":"DISCOUNT","description":"late delivery","quantity":1,"unit_price_minor":500}],"total_minor":500,"returned_at":"2026-03-01T10:30:00Z"}
}
