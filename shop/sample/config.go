package sample

import (
	"fmt"
	"time"
)

// Config says what to make up. Its zero value works.
type Config struct {
	// Seed chooses among all the shops there could be.
	Seed uint64
	// Orders is how many orders there are. For every hundred there are about
	// twenty returns and six stock adjustments. Default: 500.
	Orders int
	// Articles is how many articles the shop has, besides postage and the like.
	// Default: 400. From 10 to 20000.
	Articles int
	// Customers is how many customers have an id. Default: 1 + Orders / 3.
	Customers int
	// Days is over how many days the orders spread evenly. Default: 30. At most
	// 3660.
	Days int
	// Start is the first day, of which its date in UTC counts. Default: 1 March
	// 2024.
	Start time.Time
	// MaxLines is how many lines an order has at most. Most have far fewer.
	// Default: 700. At most 1500.
	MaxLines int
}

func (c *Config) setDefaults() error {
	orDefault(&c.Orders, 500)
	orDefault(&c.Articles, 400)
	orDefault(&c.Customers, 1+c.Orders/3)
	orDefault(&c.Days, 30)
	orDefault(&c.MaxLines, 700)
	if c.Start.IsZero() {
		c.Start = time.Date(2024, time.March, 1, 0, 0, 0, 0, time.UTC)
	}
	c.Start = c.Start.UTC().Truncate(24 * time.Hour)
	for _, bound := range []struct {
		name            string
		value, min, max int
	}{
		{"Orders", c.Orders, 1, 100_000_000},
		{"Articles", c.Articles, 10, 20_000},
		{"Customers", c.Customers, 1, 100_000_000},
		{"Days", c.Days, 1, 3660},
		{"MaxLines", c.MaxLines, 1, 1500},
		{"the year of Start", c.Start.Year(), 1, 9900},
	} {
		if bound.value < bound.min || bound.value > bound.max {
			return fmt.Errorf("sample: %s must be from %d to %d, it is %d", bound.name, bound.min, bound.max, bound.value)
		}
	}
	return nil
}

func orDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}
