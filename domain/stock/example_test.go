package stock_test

import (
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/stock"
)

func Example() {
	now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	var s stock.Stock
	for _, c := range []command{
		stock.Receive{SKU: "MUG-1A", Quantity: 10, At: now},
		stock.Reserve{SKU: "MUG-1A", OrderID: "42", Quantity: 6, At: now},
		stock.Reserve{SKU: "MUG-1A", OrderID: "43", Quantity: 6, At: now},
		stock.Commit{SKU: "MUG-1A", OrderID: "42", Quantity: 6, At: now},
	} {
		events, err := c.Decide(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, e := range events {
			s = e.Evolve(s)
		}
		fmt.Printf("%T: %d on hand, %d reserved, %d available\n", c, s.OnHand, s.Reserved, s.Available())
	}
	// Output:
	// stock.Receive: 10 on hand, 0 reserved, 10 available
	// stock.Reserve: 10 on hand, 6 reserved, 4 available
	// cannot reserve 6: 4 available (6 more are reserved); receive goods or release reservations first
	// stock.Commit: 4 on hand, 0 reserved, 4 available
}
