package shop

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// world is what one worker has made, and therefore knows.
type world struct {
	*wire.Luck
	country  string
	currency string
	// day is the first of its days.
	day       time.Time
	customers []string
	articles  []*article
	orders    []*order
	returns   []*order // of which a return has id, customer, lines and time
	// token is that of the last command, which reads have to see.
	token string
	// next is what has to be sent next: the page behind the one that was read.
	next *wire.Call
	// kept are commands with idempotency keys, to be sent again.
	kept []keptCall
}

// order is an order, or a return.
type order struct {
	ID         string    `json:"id"`
	CustomerID *string   `json:"customer_id"`
	Country    string    `json:"country"`
	Currency   string    `json:"currency"`
	Lines      []line    `json:"lines"`
	PlacedAt   time.Time `json:"placed_at"`
	Status     string    `json:"status"`
	TotalMinor int64     `json:"total_minor"`

	version int64
	past    []pastOrder
}

// pastOrder is an order's status from a position of the log on.
type pastOrder struct {
	position int64
	status   string
	version  int64
}

type line struct {
	SKU            string `json:"sku"`
	Description    string `json:"description"`
	Quantity       int64  `json:"quantity"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
}

// article is the stock of an article.
type article struct {
	sku              string
	onHand, reserved int64
	reservations     map[string]int64
	version          int64 // -1: never received
}

const (
	worldDays      = 3
	worldCustomers = 3
	worldArticles  = 6
)

// newWorld returns the world of a worker: number tells worlds apart, and name
// those of other runs.
func newWorld(name string, number int, rng *rand.Rand) *world {
	w := &world{
		Luck:     &wire.Luck{Rng: rng, Name: fmt.Sprintf("%s-%d", name, number)},
		country:  fmt.Sprintf("Land %d", number),
		currency: "Q" + string(rune('A'+number/26%26)) + string(rune('A'+number%26)),
		day:      time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, number*worldDays),
	}
	for i := range worldCustomers {
		w.customers = append(w.customers, fmt.Sprintf("%s~c%d", w.Name, i))
	}
	for i := range worldArticles {
		// Spaces, letters beyond ASCII and characters with a meaning in URLs are
		// fine in a code.
		suffix := []string{"A", "grün", "B C", "50%", "x?y#z", "+;,'\""}[i]
		w.articles = append(w.articles, &article{sku: w.Name + " " + suffix, reservations: map[string]int64{}, version: -1})
	}
	return w
}

func pick[T any](w *world, list []T) T { return wire.Pick(w.Luck, list) }

// time returns a time on one of the world's days. Some are equal.
func (w *world) time() time.Time {
	at := w.day.AddDate(0, 0, w.Rng.IntN(worldDays))
	if w.Chance(2) {
		return at.Add(time.Duration(w.Rng.IntN(24)) * time.Hour)
	}
	return at.Add(time.Duration(w.Rng.Int64N(int64(24*time.Hour/time.Microsecond))) * time.Microsecond)
}

// rfc3339 writes a time in UTC or with an offset.
func (w *world) rfc3339(t time.Time) string {
	if w.Chance(3) {
		t = t.In(time.FixedZone("", (w.Rng.IntN(25)-12)*1800))
	}
	return t.Format(time.RFC3339Nano)
}

// anOrder returns an order, or nil if there is none. Late ones are more likely.
func (w *world) anOrder() *order {
	if len(w.orders) == 0 {
		return nil
	}
	from := 0
	if len(w.orders) > 20 && !w.Chance(4) {
		from = len(w.orders) - 20
	}
	return pick(w, w.orders[from:])
}

// command returns a call that posts a body; tree may be nil.
func command(route, target string, tree *wire.Object) wire.Call {
	return wire.Call{Route: "POST " + route, Request: wire.Request{Method: "POST", Target: target}, Tree: tree}
}

// read returns a call that gets something as it is after all that the world has
// done.
func (w *world) read(route, path string, query url.Values) wire.Call {
	c := wire.Call{Route: "GET " + route, Request: wire.Request{Method: "GET", Target: path}}
	if query == nil {
		query = url.Values{}
	}
	if w.token != "" {
		c.Set("Prefer", wire.LongWait)
		if w.Chance(3) {
			query.Set("consistency", w.token)
		} else {
			c.Set("Consistency-Token", w.token)
		}
	}
	if len(query) > 0 {
		c.Target += "?" + query.Encode()
	}
	return c
}
