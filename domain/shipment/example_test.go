package shipment_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/shipment"
)

func Example() {
	now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	var s shipment.Shipment
	for _, c := range []command{
		shipment.Schedule{ID: "s-1", OrderID: "42", Country: "Norway", At: now},
		shipment.Dispatch{At: now},
		shipment.Cancel{Reason: "changed her mind", At: now},
		shipment.Fail{Reason: "nobody at home", At: now},
	} {
		events, err := c.Decide(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, e := range events {
			s = e.Evolve(s)
			data, _ := json.Marshal(e)
			fmt.Printf("%T %s\n", e, data)
		}
	}
	// Output:
	// shipment.Scheduled {"id":"s-1","order_id":"42","country":"Norway","at":"2026-03-01T10:30:00Z"}
	// shipment.Dispatched {"id":"s-1","order_id":"42","at":"2026-03-01T10:30:00Z"}
	// shipment s-1 cannot be cancelled: it is dispatched (it can only be cancelled when scheduled)
	// shipment.Failed {"id":"s-1","order_id":"42","reason":"nobody at home","at":"2026-03-01T10:30:00Z"}
}
