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
func (w *world) moveCall(name, sku string, m move, body *object) call {
	if m.order != "" {
		body.members = append(body.members, member{"order_id", m.order})
	}
	if w.chance(3) {
		body.members = append(body.members, member{"at", w.rfc3339(w.time())})
	}
	return command("/v1/stock/{sku}/"+name, "/v1/stock/"+url.PathEscape(sku)+"/"+name, body)
}

// stocked returns a call of a stock command on one of the world's own articles.
func (w *world) stocked(name string, a *article, m move, body *object) call {
	c := w.moveCall(name, a.sku, m, body)
	if code := a.refusal(m); code != "" {
		return w.withKey(c.refused(409, code))
	}
	return w.accepted(c, change{200, "stock-" + a.sku, a.version + 1, func(k ack) {
		a.apply(m)
		a.version = k.Version
	}})
}

func (w *world) receive() (call, bool) {
	n := 1 + w.rng.Int64N(50)
	return w.stocked("receive", pick(w, w.articles), move{onHand: n}, members("quantity", n)), true
}

func (w *world) adjust() (call, bool) {
	a, n := pick(w, w.articles), 1+w.rng.Int64N(50)
	if w.chance(2) {
		n = -n
	}
	return w.stocked("adjust", a, move{onHand: n}, members("delta", n, "reason", "counted")), true
}

func (w *world) reserve() (call, bool) {
	a, n, order := pick(w, w.articles), 1+w.rng.Int64N(20), fmt.Sprintf("%s.r%d", w.name, w.rng.IntN(5))
	return w.stocked("reserve", a, move{reserved: n, order: order}, members("quantity", n)), true
}

// settle returns the generator of release or commit.
func settle(name string) func(*world) (call, bool) {
	return func(w *world) (call, bool) {
		a, order := pick(w, w.articles), w.name+".none"
		if orders := slices.Sorted(maps.Keys(a.reservations)); len(orders) > 0 && !w.chance(10) {
			order = pick(w, orders)
		}
		n := 1 + w.rng.Int64N(10)
		m := move{reserved: -n, order: order}
		if name == "commit" {
			m.onHand = -n
		}
		return w.stocked(name, a, m, members("quantity", n)), true
	}
}

func (w *world) readStock() (call, bool) { return w.readArticle(pick(w, w.articles)), true }

func (w *world) readArticle(a *article) call {
	c := w.read("/v1/stock/{sku}", "/v1/stock/"+url.PathEscape(a.sku), nil)
	if a.version < 0 {
		return c.refused(404, "not-found")
	}
	c = c.wantOK()
	c.done = a.shown
	return c
}

// shown checks an answer that shows an article.
func (a *article) shown(by answer) error {
	if err := by.isAt(a.version); err != nil {
		return err
	}
	return same(by, map[string]any{"sku": a.sku, "on_hand": a.onHand, "reserved": a.reserved, "available": a.onHand - a.reserved})
}

// isAt checks that an answer is of a version.
func (a answer) isAt(version int64) error {
	if tag := fmt.Sprintf(`"%d"`, version); a.header.Get("ETag") != tag {
		return fmt.Errorf("the ETag is %s, want %s", a.header.Get("ETag"), tag)
	}
	return nil
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
