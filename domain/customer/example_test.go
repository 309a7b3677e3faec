package customer_test

import (
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/customer"
)

func Example() {
	now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	address, another := "ann@example.com", "Ann <ann@example.org>"
	var s customer.Customer
	for _, c := range []command{
		customer.Register{ID: "c-7", Email: &address, At: now},
		customer.ChangeEmail{Email: &another, At: now},
		customer.ChangeEmail{At: now},
	} {
		events, err := c.Decide(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, e := range events {
			s = e.Evolve(s)
		}
		fmt.Printf("%T: mails go out: %t\n", c, s.Email != nil)
	}
	// Output:
	// customer.Register: mails go out: true
	// invalid input: /email must be an address such as ann@example.com, or null
	// customer.ChangeEmail: mails go out: false
}
