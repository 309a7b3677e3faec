package checkout_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

var seed = flag.Uint64("checkout.seed", 1, "what TestAnyOrders draws from")

// TestAnyOrders checks many orders out with everything that can go wrong: too little stock, customers who cancel, all faults of the gateway, and steps
// that are given up. In the end all accounts agree.
func TestAnyOrders(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(*seed, 0))
	faults := simulator.BySeed(*seed, map[simulator.Fault]float64{
		simulator.Declined: .1, simulator.Unavailable: .1, simulator.LostRequest: .1, simulator.LostAnswer: .15, simulator.Twice: .1, simulator.Late: .15,
	})
	plan := func(op gateway.Operation, r gateway.Request, attempt int) simulator.Fault {
		if op == gateway.Capture && r.AmountMinor%7 == 0 {
			return simulator.Declined // as of an authorization that has expired
		}
		return faults(op, r, attempt)
	}
	w := newWorld(t, apptest.New, plan, sagas.Attempts{Max: 3, First: time.Nanosecond})
	w.receive()
	for i := range 100 {
		w.place(fmt.Sprint(i), 1+rng.Int64N(3), 1+rng.Int64N(3), rng.Int64N(8)*100)
		for range rng.IntN(4) {
			_ = w.Deliver()
		}
		some := w.orders[rng.IntN(len(w.orders))].ID
		switch rng.IntN(4) {
		case 0:
			if err := w.Do("order.cancel", some, order.Cancel{Reason: "changed my mind", At: at}); err != nil && !errors.Is(err, order.ErrTransition) {
				t.Fatal(err)
			}
		case 1: // who carries the goods takes them of orders that are confirmed
			if w.State("order-"+some).(order.Order).Status == order.StatusConfirmed {
				if err := w.Do("shipment.dispatch", some, shipment.Dispatch{At: at}); err != nil && !errors.Is(err, shipment.ErrTransition) {
					t.Fatal(err)
				}
				w.settle() // lest it is cancelled now
			}
		}
	}
	w.settle()
	w.check()
	ends := make(map[string]int)
	for _, o := range w.orders {
		i := w.saga(o.ID)
		ends[string(i.Status)+" "+i.Code]++
	}
	t.Logf("ends: %v", ends)
	for _, end := range []string{"running ", "completed ", "cancelled cancelled", "failed declined", "failed rejected", "failed exhausted"} {
		if ends[end] == 0 {
			t.Errorf("no order ends %q, so this proves little: %v", end, ends)
		}
	}
	if t.Failed() {
		t.Logf("go test ./shop/checkout -run TestAnyOrders -checkout.seed %d", *seed)
	}
}
