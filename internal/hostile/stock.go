package hostile

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
)

// move is what a command does to the stock of an article.
type move struct {
	onHand, reserved int64
	order            string
}

// stocked returns a call of a stock command; code is that of the refusal that
// the rules have for it, "" if they have none.
func (w *world) stocked(name string, a *article, body *object, m move, code string) call {
	c := command("/v1/stock/{sku}/"+name, "/v1/stock/"+url.PathEscape(a.sku)+"/"+name, body)
	if w.chance(3) {
		body.members = append(body.members, member{"at", w.rfc3339(w.time())})
	}
	if code != "" {
		return w.withKey(c.refused(409, code))
	}
	return w.accepted(c, change{200, "stock-" + a.sku, a.version + 1, func(k ack) {
		a.onHand += m.onHand
		a.reserved += m.reserved
		a.version = k.Version
		if m.order != "" {
			a.reservations[m.order] += m.reserved
			maps.DeleteFunc(a.reservations, func(_ string, n int64) bool { return n == 0 })
		}
	}})
}

func (w *world) receive() (call, bool) {
	n := 1 + w.rng.Int64N(50)
	return w.stocked("receive", pick(w, w.articles), members("quantity", n), move{onHand: n}, ""), true
}

func (w *world) adjust() (call, bool) {
	a, n := pick(w, w.articles), 1+w.rng.Int64N(50)
	if w.chance(2) {
		n = -n
	}
	code := ""
	if -n > a.onHand-a.reserved {
		code = "stock-insufficient"
	}
	return w.stocked("adjust", a, members("delta", n, "reason", "counted"), move{onHand: n}, code), true
}

func (w *world) reserve() (call, bool) {
	a, n, order := pick(w, w.articles), 1+w.rng.Int64N(20), fmt.Sprintf("%s.r%d", w.name, w.rng.IntN(5))
	code := ""
	if n > a.onHand-a.reserved {
		code = "stock-insufficient"
	}
	return w.stocked("reserve", a, members("order_id", order, "quantity", n), move{reserved: n, order: order}, code), true
}

// settle returns the generator of release or commit.
func settle(name string) func(*world) (call, bool) {
	return func(w *world) (call, bool) {
		a, order := pick(w, w.articles), w.name+".none"
		if orders := slices.Sorted(maps.Keys(a.reservations)); len(orders) > 0 && !w.chance(10) {
			order = pick(w, orders)
		}
		n, code := 1+w.rng.Int64N(10), ""
		if n > a.reservations[order] {
			code = "stock-not-reserved"
		}
		m := move{reserved: -n, order: order}
		if name == "commit" {
			m.onHand = -n
		}
		return w.stocked(name, a, members("order_id", order, "quantity", n), m, code), true
	}
}

func (w *world) readStock() (call, bool) { return w.readArticle(pick(w, w.articles)), true }

func (w *world) readArticle(a *article) call {
	c := w.read("/v1/stock/{sku}", "/v1/stock/"+url.PathEscape(a.sku), nil)
	if a.version < 0 {
		return c.refused(404, "not-found")
	}
	c = c.wantOK()
	c.done = func(got answer) error {
		if tag := fmt.Sprintf(`"%d"`, a.version); got.header.Get("ETag") != tag {
			return fmt.Errorf("the ETag is %s, want %s", got.header.Get("ETag"), tag)
		}
		return same(got, map[string]any{"sku": a.sku, "on_hand": a.onHand, "reserved": a.reserved, "available": a.onHand - a.reserved})
	}
	return c
}

// same compares an answer with what it should be, as JSON.
func same(a answer, want any) error {
	var got, wanted any
	text, err := json.Marshal(want)
	if err != nil {
		return err
	}
	if err := decodeStrictly(a.body, &got); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &wanted); err != nil {
		return err
	}
	if found, err := json.Marshal(got); err != nil || !slices.Equal(found, canonical(wanted)) {
		return fmt.Errorf("the answer is %s, want %s", cut(a.body), cut(canonical(wanted)))
	}
	return nil
}

func canonical(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("%v came from JSON: %v", v, err))
	}
	return text
}

func cut(text []byte) string {
	if len(text) > maxShown {
		return string(text[:maxShown]) + "…"
	}
	return string(text)
}
