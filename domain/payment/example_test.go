package payment_test

import (
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/payment"
)

func Example() {
	now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	var p payment.Payment
	for _, c := range []command{
		payment.Authorize{OrderID: "42", Key: "checkout-42/2", AmountMinor: 1745, Currency: "GBP", At: now},
		payment.Capture{OrderID: "42", Key: "checkout-42/6", AmountMinor: 1440, At: now},
		payment.Capture{OrderID: "42", Key: "checkout-42/6", AmountMinor: 1440, At: now}, // the answer came twice
		payment.Capture{OrderID: "42", Key: "checkout-42/8", AmountMinor: 1440, At: now},
		payment.Void{OrderID: "42", Key: "checkout-42/10", At: now},
		payment.Refund{OrderID: "42", Key: "return-r-9", AmountMinor: 240, At: now},
	} {
		events, err := c.Decide(p)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, e := range events {
			p = e.Evolve(p)
		}
		fmt.Printf("%T: %d to capture, %d to refund\n", c, p.Capturable(), p.Refundable())
	}
	// Output:
	// payment.Authorize: 1745 to capture, 0 to refund
	// payment.Capture: 305 to capture, 1440 to refund
	// payment.Capture: 305 to capture, 1440 to refund
	// cannot capture 1440 for order 42: 305 are left to capture
	// payment.Void: 0 to capture, 1440 to refund
	// payment.Refund: 0 to capture, 1200 to refund
}
