package shop

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// newOrder returns goods as an order or a return has them.
func (w *world) newOrder() *order {
	o := &order{ID: w.ID(), Country: w.country, Currency: w.currency, PlacedAt: w.time(), Status: "placed"}
	if !w.Chance(5) {
		customer := pick(w, w.customers)
		o.CustomerID = &customer
	}
	n := 1 + w.Rng.IntN(4)
	if w.Chance(100) {
		n = 300
	}
	for range n {
		l := line{pick(w, w.articles).sku, "", 1 + w.Rng.Int64N(20), w.Rng.Int64N(5000)}
		if w.Chance(2) {
			l.Description = "<b>Ω & \"quotes\"</b>"
		}
		o.Lines = append(o.Lines, l)
		o.TotalMinor += l.Quantity * l.UnitPriceMinor
	}
	return o
}

// goods returns an order or a return as a body. What may be left out sometimes
// is.
func (w *world) goods(o *order, timeName string) *wire.Object {
	lines := &wire.Array{}
	for _, l := range o.Lines {
		lines.Items = append(lines.Items, wire.Members(
			"sku", l.SKU, "description", l.Description, "quantity", l.Quantity, "unit_price_minor", l.UnitPriceMinor))
	}
	body := wire.Members("id", o.ID)
	switch {
	case o.CustomerID != nil:
		body.Add("customer_id", *o.CustomerID)
	case w.Chance(2):
		body.Add("customer_id", nil)
	}
	if timeName == "placed_at" && w.Chance(2) {
		body.Add("email", pick(w, []any{nil, "ann@example.com", "Ω@example.com"}))
	}
	if w.Chance(2) {
		timeName = "at"
	}
	body.Add("country", o.Country)
	body.Add("currency", o.Currency)
	body.Add("lines", lines)
	body.Add(timeName, w.rfc3339(o.PlacedAt))
	return body
}

func (w *world) place() (wire.Call, bool) {
	o := w.newOrder()
	if known := w.anOrder(); known != nil && w.Chance(20) {
		o.ID = known.ID
		return w.withKey(command("/v1/orders", "/v1/orders", w.goods(o, "placed_at")).Refused(409, "order-exists")), true
	}
	tree, stream := w.goods(o, "placed_at"), "order-"+o.ID
	if w.Chance(30) {
		tree.Drop("id") // the server makes one
		stream = ""
	}
	c := w.accepted(command("/v1/orders", "/v1/orders", tree), change{201, stream, 0, func(k wire.Ack) {
		o.ID = k.Stream[len("order-"):]
		o.past = []pastOrder{{k.Position, "placed", 0}}
		w.orders = append(w.orders, o)
	}})
	done := c.Done
	c.Done = func(a wire.Answer) error {
		if err := done(a); err != nil || a.Status != 201 {
			return err
		}
		if want := "/v1/orders/" + url.PathEscape(o.ID); a.Header.Get("Location") != want {
			return fmt.Errorf("the Location is %q, want %q", a.Header.Get("Location"), want)
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
func (s step) generate(w *world) (wire.Call, bool) {
	o := w.anOrder()
	if o == nil || w.Chance(20) {
		return s.call(w, w.ID()).Refused(404, "order-not-found"), true
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
		return w.withKey(c.Refused(409, "order-status")), true
	}
	return w.accepted(c, change{200, "order-" + o.ID, o.version + 1, func(k wire.Ack) {
		o.Status, o.version = s.to, k.Version
		o.past = append(o.past, pastOrder{k.Position, s.to, k.Version})
	}}), true
}

func (s step) call(w *world, id string) wire.Call {
	return command("/v1/orders/{id}/"+s.name, "/v1/orders/"+id+"/"+s.name, w.stepBody(s))
}

func (w *world) stepBody(s step) *wire.Object {
	switch {
	case s.name == "cancel":
		return wire.Members("reason", "changed\u00a0my mind", "at", w.rfc3339(w.time()))
	case w.Chance(3):
		return nil
	case w.Chance(2):
		return wire.Members()
	}
	return wire.Members("at", w.rfc3339(w.time()))
}

// takeBack returns goods.
func (w *world) takeBack() (wire.Call, bool) {
	o := w.newOrder()
	if len(w.returns) > 0 && w.Chance(20) {
		o.ID = pick(w, w.returns).ID
		return w.withKey(command("/v1/returns", "/v1/returns", w.goods(o, "returned_at")).Refused(409, "return-exists")), true
	}
	return w.accepted(command("/v1/returns", "/v1/returns", w.goods(o, "returned_at")), change{200, "return-" + o.ID, 0, func(wire.Ack) {
		o.Status = "returned"
		w.returns = append(w.returns, o)
	}}), true
}
