package shop

import (
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// move is what a command does to the stock of an article.
type move struct {
	onHand, reserved int64
	order            string
}

// refusal returns the code of the rule that is against a move, "" if there is none.
func (a *article) refusal(m move) string {
	switch {
	case m.order != "" && a.reservations[m.order]+m.reserved < 0:
		return "stock-not-reserved"
	case a.onHand+m.onHand < a.reserved+m.reserved:
		return "stock-insufficient"
	}
	return ""
}

func (a *article) apply(m move) {
	a.onHand += m.onHand
	a.reserved += m.reserved
	if m.order != "" {
		a.reservations[m.order] += m.reserved
		maps.DeleteFunc(a.reservations, func(_ string, n int64) bool { return n == 0 })
	}
}

// moveCall returns the call of a command that moves stock.
func (w *world) moveCall(name, sku string, m move, body *wire.Object) wire.Call {
	if m.order != "" {
		body.Add("order_id", m.order)
	}
	if w.Chance(3) {
		body.Add("at", w.rfc3339(w.time()))
	}
	return command("/v1/stock/{sku}/"+name, "/v1/stock/"+url.PathEscape(sku)+"/"+name, body)
}

// stocked returns a call of a stock command on one of the world's own articles.
func (w *world) stocked(name string, a *article, m move, body *wire.Object) wire.Call {
	c := w.moveCall(name, a.sku, m, body)
	if code := a.refusal(m); code != "" {
		return w.withKey(c.Refused(409, code))
	}
	return w.accepted(c, change{200, "stock-" + a.sku, a.version + 1, func(k wire.Ack) {
		a.apply(m)
		a.version = k.Version
	}})
}

func (w *world) receive() (wire.Call, bool) {
	n := 1 + w.Rng.Int64N(50)
	return w.stocked("receive", pick(w, w.articles), move{onHand: n}, wire.Members("quantity", n)), true
}

func (w *world) adjust() (wire.Call, bool) {
	a, n := pick(w, w.articles), 1+w.Rng.Int64N(50)
	if w.Chance(2) {
		n = -n
	}
	return w.stocked("adjust", a, move{onHand: n}, wire.Members("delta", n, "reason", "counted")), true
}

func (w *world) reserve() (wire.Call, bool) {
	a, n, order := pick(w, w.articles), 1+w.Rng.Int64N(20), fmt.Sprintf("%s.r%d", w.Name, w.Rng.IntN(5))
	return w.stocked("reserve", a, move{reserved: n, order: order}, wire.Members("quantity", n)), true
}

// settle returns the generator of release or commit.
func settle(name string) func(*world) (wire.Call, bool) {
	return func(w *world) (wire.Call, bool) {
		a, order := pick(w, w.articles), w.Name+".none"
		if orders := slices.Sorted(maps.Keys(a.reservations)); len(orders) > 0 && !w.Chance(10) {
			order = pick(w, orders)
		}
		n := 1 + w.Rng.Int64N(10)
		m := move{reserved: -n, order: order}
		if name == "commit" {
			m.onHand = -n
		}
		return w.stocked(name, a, m, wire.Members("quantity", n)), true
	}
}

func (w *world) readStock() (wire.Call, bool) { return w.readArticle(pick(w, w.articles)), true }

func (w *world) readArticle(a *article) wire.Call {
	c := w.read("/v1/stock/{sku}", "/v1/stock/"+url.PathEscape(a.sku), nil)
	if a.version < 0 {
		return c.Refused(404, "not-found")
	}
	c = c.WantOK()
	c.Done = a.shown
	return c
}

// shown checks an answer that shows an article.
func (a *article) shown(by wire.Answer) error {
	if err := by.IsAt(a.version); err != nil {
		return err
	}
	return wire.Same(by.Body, map[string]any{"sku": a.sku, "on_hand": a.onHand, "reserved": a.reserved, "available": a.onHand - a.reserved})
}
