package hostile

import (
	"fmt"
	"net/url"
	"slices"
)

// newOrder returns goods as an order or a return has them.
func (w *world) newOrder() *order {
	o := &order{ID: w.id(), Country: w.country, Currency: w.currency, PlacedAt: w.time(), Status: "placed"}
	if !w.chance(5) {
		customer := pick(w, w.customers)
		o.CustomerID = &customer
	}
	n := 1 + w.rng.IntN(4)
	if w.chance(100) {
		n = 300
	}
	for range n {
		l := line{pick(w, w.articles).sku, "", 1 + w.rng.Int64N(20), w.rng.Int64N(5000)}
		if w.chance(2) {
			l.Description = "<b>Ω & \"quotes\"</b>"
		}
		o.Lines = append(o.Lines, l)
		o.TotalMinor += l.Quantity * l.UnitPriceMinor
	}
	return o
}

// goods returns an order or a return as a body. What may be left out sometimes
// is.
func (w *world) goods(o *order, timeName string) *object {
	lines := &array{}
	for _, l := range o.Lines {
		lines.items = append(lines.items, members(
			"sku", l.SKU, "description", l.Description, "quantity", l.Quantity, "unit_price_minor", l.UnitPriceMinor))
	}
	body := members("id", o.ID)
	switch {
	case o.CustomerID != nil:
		body.members = append(body.members, member{"customer_id", *o.CustomerID})
	case w.chance(2):
		body.members = append(body.members, member{"customer_id", nil})
	}
	if w.chance(2) {
		timeName = "at"
	}
	body.members = append(body.members, members("country", o.Country, "currency", o.Currency, "lines", lines, timeName, w.rfc3339(o.PlacedAt)).members...)
	return body
}

func (w *world) place() (call, bool) {
	o := w.newOrder()
	if known := w.anOrder(); known != nil && w.chance(20) {
		o.ID = known.ID
		return w.withKey(command("/v1/orders", "/v1/orders", w.goods(o, "placed_at")).refused(409, "order-exists")), true
	}
	tree, stream := w.goods(o, "placed_at"), "order-"+o.ID
	if w.chance(30) {
		tree.members, stream = tree.members[1:], "" // the server makes an id
	}
	c := w.accepted(command("/v1/orders", "/v1/orders", tree), change{201, stream, 0, func(k ack) {
		o.ID = k.Stream[len("order-"):]
		o.past = []pastOrder{{k.Position, "placed", 0}}
		w.orders = append(w.orders, o)
	}})
	done := c.done
	c.done = func(a answer) error {
		if err := done(a); err != nil || a.status != 201 {
			return err
		}
		if want := "/v1/orders/" + url.PathEscape(o.ID); a.header.Get("Location") != want {
			return fmt.Errorf("the Location is %q, want %q", a.header.Get("Location"), want)
		}
		return nil
	}
	return c, true
}

// step is a command that takes an order from one status to another.
type step struct {
	name, to string
	from     []string
}

var steps = []step{
	{"confirm", "confirmed", []string{"placed"}},
	{"ship", "shipped", []string{"confirmed"}},
	{"complete", "completed", []string{"shipped"}},
	{"cancel", "cancelled", []string{"placed", "confirmed"}},
}

// step returns the generator of a step.
func (s step) generate(w *world) (call, bool) {
	o := w.anOrder()
	if o == nil || w.chance(20) {
		return s.call(w, w.id()).refused(404, "order-not-found"), true
	}
	// Most orders get somewhere.
	for range 5 {
		if slices.Contains(s.from, o.Status) {
			break
		}
		o = w.anOrder()
	}
	c := s.call(w, o.ID)
	if !slices.Contains(s.from, o.Status) {
		return w.withKey(c.refused(409, "order-status")), true
	}
	return w.accepted(c, change{200, "order-" + o.ID, o.version + 1, func(k ack) {
		o.Status, o.version = s.to, k.Version
		o.past = append(o.past, pastOrder{k.Position, s.to, k.Version})
	}}), true
}

func (s step) call(w *world, id string) call {
	return command("/v1/orders/{id}/"+s.name, "/v1/orders/"+id+"/"+s.name, w.stepBody(s))
}

func (w *world) stepBody(s step) *object {
	switch {
	case s.name == "cancel":
		return members("reason", "changed\u00a0my mind", "at", w.rfc3339(w.time()))
	case w.chance(3):
		return nil
	case w.chance(2):
		return members()
	}
	return members("at", w.rfc3339(w.time()))
}

// takeBack returns goods.
func (w *world) takeBack() (call, bool) {
	o := w.newOrder()
	if len(w.returns) > 0 && w.chance(20) {
		o.ID = pick(w, w.returns).ID
		return w.withKey(command("/v1/returns", "/v1/returns", w.goods(o, "returned_at")).refused(409, "return-exists")), true
	}
	return w.accepted(command("/v1/returns", "/v1/returns", w.goods(o, "returned_at")), change{200, "return-" + o.ID, 0, func(ack) {
		o.Status = "returned"
		w.returns = append(w.returns, o)
	}}), true
}
