package hostile

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"
)

// world is what one worker has made, and therefore knows.
type world struct {
	rng *rand.Rand
	// name begins all ids and article codes.
	name     string
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
	made  int
	// next is what has to be sent next: the page behind the one that was read.
	next *call
	// kept are commands with idempotency keys, to be sent again.
	kept []keptCall
	// operations are paths of operations that were begun.
	operations []string
	// cursors are of several lists.
	cursors []string
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
		rng:      rng,
		name:     fmt.Sprintf("%s-%d", name, number),
		country:  fmt.Sprintf("Land %d", number),
		currency: "Q" + string(rune('A'+number/26%26)) + string(rune('A'+number%26)),
		day:      time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, number*worldDays),
	}
	for i := range worldCustomers {
		w.customers = append(w.customers, fmt.Sprintf("%s~c%d", w.name, i))
	}
	for i := range worldArticles {
		// Spaces, letters beyond ASCII and characters with a meaning in URLs are
		// fine in a code.
		suffix := []string{"A", "grün", "B C", "50%", "x?y#z", "+;,'\""}[i]
		w.articles = append(w.articles, &article{sku: w.name + " " + suffix, reservations: map[string]int64{}, version: -1})
	}
	return w
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

func pick[T any](w *world, list []T) T { return list[w.rng.IntN(len(list))] }

// id returns an id that was never used. The order of ids is that of their
// numbers.
func (w *world) id() string {
	w.made++
	return fmt.Sprintf("%s.%06d", w.name, w.made)
}

// time returns a time on one of the world's days. Some are equal.
func (w *world) time() time.Time {
	at := w.day.AddDate(0, 0, w.rng.IntN(worldDays))
	if w.chance(2) {
		return at.Add(time.Duration(w.rng.IntN(24)) * time.Hour)
	}
	return at.Add(time.Duration(w.rng.Int64N(int64(24*time.Hour/time.Microsecond))) * time.Microsecond)
}

// rfc3339 writes a time in UTC or with an offset.
func (w *world) rfc3339(t time.Time) string {
	if w.chance(3) {
		t = t.In(time.FixedZone("", (w.rng.IntN(25)-12)*1800))
	}
	return t.Format(time.RFC3339Nano)
}

// anOrder returns an order, or nil if there is none. Late ones are more likely.
func (w *world) anOrder() *order {
	if len(w.orders) == 0 {
		return nil
	}
	from := 0
	if len(w.orders) > 20 && !w.chance(4) {
		from = len(w.orders) - 20
	}
	return pick(w, w.orders[from:])
}

// command returns a call that posts a body; tree may be nil.
func command(route, target string, tree *object) call {
	return call{route: "POST " + route, request: request{method: "POST", target: target}, tree: tree}
}

// read returns a call that gets something as it is after all that the world has
// done.
func (w *world) read(route, path string, query url.Values) call {
	c := call{route: "GET " + route, request: request{method: "GET", target: path}}
	if query == nil {
		query = url.Values{}
	}
	if w.token != "" {
		c.set("Prefer", longWait)
		if w.chance(3) {
			query.Set("consistency", w.token)
		} else {
			c.set("Consistency-Token", w.token)
		}
	}
	if len(query) > 0 {
		c.target += "?" + query.Encode()
	}
	return c
}

func (c call) wantOK() call {
	c.wants = []want{{status: 200}}
	return c
}

func (c call) refused(status int, code string) call {
	c.wants = []want{{status, code}}
	return c
}
