package invariants

import (
	"iter"
	"slices"
	"time"
	"unique"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

// checkoutSagas are those whose instances have the ids of orders.
var checkoutSagas = []string{"checkout", "checkout_hybrid"}

// Orders holds if each order comes to one end, at which its money, its goods and its shipment agree.
var Orders = app.Invariant{
	Name:  "orders",
	Holds: "each order comes to one end, at which what was captured, reserved, handed out and sent agrees with it",
	New:   func() app.InvariantFold { return newOrderFold() },
}

// orderFold has the orders that can still be anything, by id. One that was shipped, completed or cancelled is forgotten once all agrees, but for
// what a shipped one still waits for: what else comes for it later is of an order that is not known, and has to add up to nothing by itself.
type orderFold struct {
	orders map[string]*orderBook
	sent   map[string]waitsFor
	ends   map[order.Status]int64
	// broken are orders that have come to an end twice, and the like: nothing mends them.
	broken []app.Unsettled
	begun  begun
}

// waitsFor is what is to come yet of an order that was shipped.
type waitsFor struct{ arrival, completion bool }

const maxBroken = 10_000

func newOrderFold() *orderFold {
	return &orderFold{orders: make(map[string]*orderBook), sent: make(map[string]waitsFor), ends: make(map[order.Status]int64)}
}

// orderBook is what there is of an order.
type orderBook struct {
	// status is empty of an order that is not known.
	status order.Status
	// checkedOut: see the package.
	checkedOut bool
	money      money
	goods      []units
	shipment   shipment.Status
	placed     int64
	// since is when the last event came, at its last positions by what they are of.
	since time.Time
	at    [4]int64
}

// What events of an order are of.
const (
	ofOrder = iota
	ofMoney
	ofGoods
	ofShipment
)

func (b *orderBook) positions() (all []int64) {
	for _, p := range b.at {
		if p > 0 {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Apply implements app.InvariantFold.
func (f *orderFold) Apply(event any, at projections.Recorded) {
	switch e := event.(type) {
	case order.Placed:
		f.place(e, at)
	case order.Confirmed:
		f.becomes(e.ID, order.StatusConfirmed, at, order.StatusPlaced)
	case order.Shipped:
		f.becomes(e.ID, order.StatusShipped, at, order.StatusConfirmed)
	case order.Completed:
		f.becomes(e.ID, order.StatusCompleted, at, order.StatusShipped)
	case order.Cancelled:
		f.becomes(e.ID, order.StatusCancelled, at, order.StatusPlaced, order.StatusConfirmed)
	case payment.Authorized:
		f.pay(e.OrderID, at, func(m *money) { m.authorized, m.currency = m.authorized+e.AmountMinor, unique.Make(e.Currency) })
	case payment.Declined:
		f.pay(e.OrderID, at, func(*money) {})
	case payment.CaptureDeclined:
		f.pay(e.OrderID, at, func(*money) {})
	case payment.Captured:
		f.pay(e.OrderID, at, func(m *money) { m.captured += e.AmountMinor })
	case payment.Voided:
		f.pay(e.OrderID, at, func(m *money) { m.voided += e.AmountMinor })
	case payment.Refunded:
		f.pay(e.OrderID, at, func(m *money) { m.refunded += e.AmountMinor })
	case stock.Reserved:
		f.move(e.OrderID, e.SKU, at, units{reserved: e.Quantity})
	case stock.Released:
		f.move(e.OrderID, e.SKU, at, units{reserved: -e.Quantity})
	case stock.Committed:
		f.move(e.OrderID, e.SKU, at, units{reserved: -e.Quantity, left: e.Quantity})
	case stock.OrderReserved:
		f.reserve(e.OrderID, at)
	case stock.OrderRefused:
		f.reserve(e.OrderID, at)
	case stock.OrderReleased:
		f.reserve(e.OrderID, at)
	case stock.OrderHandedOut:
		f.reserve(e.OrderID, at)
	case shipment.Scheduled:
		f.ship(e.OrderID, shipment.StatusScheduled, at)
	case shipment.Dispatched:
		f.ship(e.OrderID, shipment.StatusDispatched, at)
	case shipment.Delivered:
		f.ship(e.OrderID, shipment.StatusDelivered, at)
	case shipment.Cancelled:
		f.ship(e.OrderID, shipment.StatusCancelled, at)
	case shipment.Recalled:
		f.ship(e.OrderID, shipment.StatusRecalled, at)
	case shipment.Failed:
		f.ship(e.OrderID, shipment.StatusFailed, at)
	case sagas.Started:
		// One that finds an order confirmed by somebody does nothing.
		if b, known := f.orders[e.ID]; known && b.status == order.StatusPlaced && slices.Contains(checkoutSagas, e.Saga) {
			f.checkedOut(b, at)
		}
	}
}

// change changes an order, which need not be known, and forgets it if that was the end.
func (f *orderFold) change(id string, of int, at projections.Recorded, change func(*orderBook)) {
	b, known := f.orders[id]
	if !known {
		b = new(orderBook)
		f.orders[id] = b
	}
	b.since, b.at[of] = at.RecordedAt, at.Position
	change(b)
	if b.isOver() {
		delete(f.orders, id)
		if b.isSent() {
			f.waits(id, waitsFor{b.checkedOut && b.shipment != shipment.StatusDelivered, b.status == order.StatusShipped})
		}
	}
}

// waits says what is to come yet of an order that was forgotten.
func (f *orderFold) waits(id string, what waitsFor) {
	if what == (waitsFor{}) {
		delete(f.sent, id)
	} else {
		f.sent[id] = what
	}
}

func (f *orderFold) place(e order.Placed, at projections.Recorded) {
	f.change(e.ID, ofOrder, at, func(b *orderBook) {
		if b.status != "" {
			f.breaks(e.ID, string(order.StatusPlaced), at, b, "that was placed already")
			return
		}
		b.status, b.placed = order.StatusPlaced, at.Position
		b.money.total, b.money.of = e.TotalMinor, unique.Make(e.Currency)
		for sku, sum := range goods.PerSKU(e.Lines) {
			b.unitsOf(sku).wanted = sum.Quantity
		}
	})
}

// becomes gives an order a status. Of one that is not known only that it is completed is no surprise, if it was shipped.
func (f *orderFold) becomes(id string, to order.Status, at projections.Recorded, from ...order.Status) {
	b, known := f.orders[id]
	switch w := f.sent[id]; {
	case !known && to == order.StatusCompleted && w.completion:
		f.waits(id, waitsFor{arrival: w.arrival})
		f.ends[order.StatusShipped]--
		f.ends[order.StatusCompleted]++
		return
	case !known || !slices.Contains(from, b.status):
		f.breaks(id, string(to), at, b, "that is "+inWords(from))
		return
	}
	f.change(id, ofOrder, at, func(b *orderBook) {
		if b.status == order.StatusShipped { // and could not be forgotten
			f.ends[b.status]--
		}
		if b.status = to; to != order.StatusConfirmed {
			f.ends[to]++
		}
	})
}

// breaks keeps that something happened to an order that cannot happen to it.
func (f *orderFold) breaks(id, to string, at projections.Recorded, b *orderBook, expected string) {
	if len(f.broken) == maxBroken {
		return
	}
	found, positions := "an order that is not known, or was at its end", []int64{at.Position}
	if b != nil && b.status != "" {
		found = "one that is " + string(b.status)
		positions = append(b.positions(), at.Position)
	}
	slices.Sort(positions)
	f.broken = append(f.broken, app.Unsettled{Subject: "order " + id, What: to, Expected: "an order " + expected, Found: found, Positions: slices.Compact(positions)})
}

func (f *orderFold) pay(id string, at projections.Recorded, move func(*money)) {
	f.change(id, ofMoney, at, func(b *orderBook) {
		f.checkedOut(b, at)
		move(&b.money)
	})
}

func (f *orderFold) move(id, sku string, at projections.Recorded, by units) {
	f.change(id, ofGoods, at, func(b *orderBook) {
		u := b.unitsOf(sku)
		u.reserved, u.left = u.reserved+by.reserved, u.left+by.left
	})
}

// reserve notes that the reservation of a whole order has changed: what it does to articles are events of its own.
func (f *orderFold) reserve(id string, at projections.Recorded) {
	f.change(id, ofGoods, at, func(b *orderBook) { f.checkedOut(b, at) })
}

func (f *orderFold) ship(id string, to shipment.Status, at projections.Recorded) {
	if w := f.sent[id]; w.arrival { // by this shipment, or another one when it has failed
		if to == shipment.StatusDelivered || to == shipment.StatusRecalled {
			f.waits(id, waitsFor{completion: w.completion})
		}
		return
	}
	f.change(id, ofShipment, at, func(b *orderBook) {
		f.checkedOut(b, at)
		b.shipment = to
	})
}

// checkedOut says that somebody has a hand in an order.
func (f *orderFold) checkedOut(b *orderBook, at projections.Recorded) {
	b.since = at.RecordedAt
	if !b.checkedOut {
		b.checkedOut = true
		f.begun.add(b.placed, at.RecordedAt)
	}
}

// isOver reports whether nothing more is to come of an order.
func (b *orderBook) isOver() bool {
	switch b.status {
	case order.StatusPlaced, order.StatusConfirmed:
		return false
	}
	for range b.differences() {
		return false
	}
	return true
}

// Unsettled implements app.InvariantFold.
func (f *orderFold) Unsettled() iter.Seq[app.Unsettled] {
	return func(yield func(app.Unsettled) bool) {
		for _, o := range f.broken {
			if !yield(o) {
				return
			}
		}
		for id, b := range f.orders {
			subject := "order " + id
			if b.status == "" {
				subject += ", which is not known or was at its end"
			}
			for d := range f.differencesOf(b) {
				o := app.Unsettled{Subject: subject, What: d.what, Expected: d.expected, Found: d.found, Positions: b.positions()}
				if o.Since = b.since; d.never {
					o.Since = time.Time{}
				}
				if !d.since.IsZero() {
					o.Since = d.since
				}
				if !yield(o) {
					return
				}
			}
		}
	}
}

// difference is something that is not as it is to be.
type difference struct {
	what, expected, found string
	// never says that it must not be at any moment.
	never bool
	// since replaces that of the order.
	since time.Time
}

// differencesOf yields those of an order, and that its checkout has not begun though those of later orders have.
func (f *orderFold) differencesOf(b *orderBook) iter.Seq[difference] {
	if b.status == order.StatusPlaced && !b.checkedOut {
		return func(yield func(difference) bool) {
			if at, passed := f.begun.passed(b.placed); passed {
				yield(difference{what: "checkout", expected: "begun, as that of a later order was", found: "not begun", since: at})
			}
		}
	}
	return b.differences()
}

// differences yields in what an order differs from where a checkout leaves it, given its status.
func (b *orderBook) differences() iter.Seq[difference] {
	return func(yield func(difference) bool) {
		if b.status == order.StatusPlaced && b.checkedOut {
			if !yield(difference{what: "status", expected: "confirmed or cancelled", found: string(b.status)}) {
				return
			}
		}
		for _, part := range []iter.Seq[difference]{b.moneyDifferences(), b.goodsDifferences(), b.shipmentDifferences()} {
			for d := range part {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// isKept reports whether a checkout has led to a confirmation that stands.
func (b *orderBook) isKept() bool {
	return b.checkedOut && (b.status == order.StatusConfirmed || b.isSent())
}

func (b *orderBook) isSent() bool {
	return b.status == order.StatusShipped || b.status == order.StatusCompleted
}

// Counts implements app.InvariantFold.
func (f *orderFold) Counts() []app.InvariantCount {
	n := map[order.Status]int64{}
	for _, b := range f.orders {
		if b.status == order.StatusPlaced || b.status == order.StatusConfirmed {
			n[b.status]++
		}
	}
	for status, ended := range f.ends {
		n[status] += ended
	}
	var all []app.InvariantCount
	for _, status := range []order.Status{order.StatusPlaced, order.StatusConfirmed, order.StatusShipped, order.StatusCompleted, order.StatusCancelled} {
		all = append(all, app.InvariantCount{Of: string(status), N: n[status]})
	}
	return all
}

func inWords(all []order.Status) (text string) {
	for i, s := range all {
		if i > 0 {
			text += " or "
		}
		text += string(s)
	}
	return text
}
