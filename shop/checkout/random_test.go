package checkout_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop/checkout"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

var seed = flag.Uint64("checkout.seed", 1, "what TestAnyOrders draws from")

// someFaults are those of a gateway that does its best.
func someFaults() simulator.Plan {
	faults := simulator.BySeed(*seed, map[simulator.Fault]float64{
		simulator.Declined: .1, simulator.Unavailable: .1, simulator.LostRequest: .1, simulator.LostAnswer: .15, simulator.Twice: .1, simulator.Late: .15,
	})
	return func(op gateway.Operation, r gateway.Request, attempt int) simulator.Fault {
		if op == gateway.Capture && r.AmountMinor%7 == 0 {
			return simulator.Declined // as of an authorization that has expired
		}
		return faults(op, r, attempt)
	}
}

// placeTooMany places an order that cannot be reserved, whatever becomes of others.
func (w *world) placeTooMany() { w.place("too-many", received+1, 1, 450) }

// placeSome places an order, and may let a customer cancel one, or a carrier take the goods of one, or not come for them.
func (w *world) placeSome(rng *rand.Rand, id string) {
	w.place(id, 1+rng.Int64N(5), 1+rng.Int64N(5), rng.Int64N(8)*100)
	some := w.orders[rng.IntN(len(w.orders))].ID
	what := rng.IntN(6)
	if what == 0 || what == 1 || what == 3 { // one of whom the carrier has heard
		for range 10 {
			if w.State("shipment-"+some).(shipment.Shipment).Status == shipment.StatusScheduled {
				if what == 3 {
					w.do("shipment.fail", some, shipment.Fail{Reason: "nobody came", At: at})
				} else {
					w.do("shipment.dispatch", some, shipment.Dispatch{At: at})
				}
				break
			}
			some = w.orders[rng.IntN(len(w.orders))].ID
		}
	}
	if what == 1 || what == 2 {
		w.cancel(some)
	}
}

// cancel cancels an order, unless it is too late.
func (w *world) cancel(id string) {
	w.Helper()
	if err := w.Do("order.cancel", id, order.Cancel{Reason: "changed my mind", At: at}); err != nil && !errors.Is(err, order.ErrTransition) {
		w.Fatal(err)
	}
}

// expectEnds reports ends that no order has come to.
func (w *world) expectEnds(want ...string) {
	w.Helper()
	ends := make(map[string]int)
	for _, o := range w.orders {
		end, reason := string(w.State("order-"+o.ID).(order.Order).Status), w.reason(o.ID)
		for _, why := range []string{"changed my mind", "was declined", "cannot reserve", "attempts failed", "not sent"} {
			if strings.Contains(reason, why) {
				end += ": " + why
			}
		}
		ends[end]++
		if w.State("shipment-"+o.ID).(shipment.Shipment).Status == shipment.StatusRecalled {
			ends["recalled"]++
		}
	}
	w.Logf("ends: %v", ends)
	for _, end := range want {
		if ends[end] == 0 {
			w.Errorf("no order ends %q, so this proves little: %v", end, ends)
		}
	}
	if w.Failed() {
		w.Logf("go test ./shop/checkout -run %s -checkout.seed %d", w.Name(), *seed)
	}
}

// TestAnyOrders checks many orders out with everything that can go wrong: too little stock, customers who cancel, also while the goods are on their way, all
// faults of the gateway, and steps that are given up. In the end all accounts agree.
func TestAnyOrders(t *testing.T) {
	t.Parallel()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(*seed, 0))
			w := newWorld(t, apptest.New, f, someFaults(), sagas.Attempts{Max: 3, First: time.Nanosecond})
			w.receive()
			for i := range 80 {
				w.placeSome(rng, fmt.Sprint(i))
				for range rng.IntN(4) {
					_ = w.Deliver()
				}
				if i%10 == 0 {
					w.verify(0)
				}
			}
			w.placeTooMany()
			w.settle()
			w.check()
			w.expectEnds("confirmed", "shipped", "recalled", "cancelled: changed my mind", "cancelled: was declined", "cancelled: cannot reserve", "cancelled: attempts failed", "cancelled: not sent")
		})
	}
}

// TestEventsInAnyOrder hands the events of the services to each other in an order by chance, also those of one stream, and some twice: nothing rests on
// the order, and all accounts agree in the end.
func TestEventsInAnyOrder(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(*seed, 1))
	w := newWorld(t, apptest.New, flows[1], someFaults(), sagas.Attempts{Max: 2, First: time.Nanosecond})
	w.receive()
	d := &shuffled{world: w, rng: rng, next: 1}
	for i := range 60 {
		w.placeSome(rng, fmt.Sprint(i))
		if i%6 == 0 { // who hears of it first, of that it was placed or cancelled?
			w.cancel(fmt.Sprint(i))
		}
		for range rng.IntN(400) {
			d.deliverOne()
		}
	}
	w.placeTooMany()
	for d.deliverOne() {
	}
	w.check()
	w.expectEnds("confirmed", "shipped", "recalled", "cancelled: changed my mind", "cancelled: was declined", "cancelled: cannot reserve", "cancelled: attempts failed", "cancelled: not sent")
}

// shuffled delivers events to subscriptions by chance.
type shuffled struct {
	*world
	rng  *rand.Rand
	next int64 // the first position that is not in waiting
	// waiting is what is to be delivered to whom, and how often that has failed.
	waiting []delivered
}

type delivered struct {
	to       delivery.Subscription
	position int64
	attempt  int
}

// deliverOne delivers an event to a subscription, and reports whether there was one.
func (d *shuffled) deliverOne() bool {
	d.Helper()
	for head := d.head(); d.next <= head; d.next++ {
		for _, s := range d.Service.App.Subscriptions() {
			if name := s.Handler.Name(); strings.HasPrefix(name, checkout.Name+"-") || strings.HasPrefix(name, "ledger-") {
				d.waiting = append(d.waiting, delivered{s, d.next, 1})
			}
		}
	}
	if len(d.waiting) == 0 {
		return false
	}
	i := d.rng.IntN(len(d.waiting))
	one := d.waiting[i]
	ctx := app.WithService(d.Context(), d.Service)
	_, err := one.to.Rehearse(ctx, d.Service.Commands.Codec(), oneEvent{d.Service.Log}, one.position, delivery.Attempts{Made: one.attempt - 1, Counted: one.attempt - 1})
	switch outcome, _ := delivery.OutcomeOf(err); {
	case err != nil && outcome != delivery.Transient:
		d.Fatal(err)
	case err != nil:
		d.waiting[i].attempt++
		d.call()
	case d.rng.IntN(5) > 0: // else it comes again
		d.waiting[i] = d.waiting[len(d.waiting)-1]
		d.waiting = d.waiting[:len(d.waiting)-1]
	}
	return true
}

// oneEvent is a log that ends with the event that it is read from.
type oneEvent struct{ eventstore.Reader }

func (l oneEvent) ReadAll(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	o.Limit = 1
	return l.Reader.ReadAll(ctx, o)
}
