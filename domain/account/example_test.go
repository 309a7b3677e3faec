package account_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/account"
)

func Example() {
	c := account.Post{
		ID: "capture-42", Currency: "GBP", Reason: "payment of order 42",
		Entries: []account.Entry{{Account: "bank", AmountMinor: 1745}, {Account: "receivable", AmountMinor: -1740}},
		At:      time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC),
	}
	_, err := c.Decide(account.Transaction{})
	fmt.Println(err)

	c.Entries = append(c.Entries, account.Entry{Account: "fees", AmountMinor: -5})
	events, err := c.Decide(account.Transaction{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, _ := json.Marshal(events[0])
	fmt.Printf("%T %s\n", events[0], data)
	// Output:
	// invalid input: /entries must add up to zero, they come to 5
	// account.Posted {"id":"capture-42","currency":"GBP","entries":[{"account":"bank","amount_minor":1745},{"account":"receivable","amount_minor":-1740},{"account":"fees","amount_minor":-5}],"reason":"payment of order 42","at":"2026-03-01T10:30:00Z"}
}
