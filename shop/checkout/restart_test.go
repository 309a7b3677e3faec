package checkout_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	paying "github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

// mute does what it is asked for, and for each order there is an operation to which it never answers.
type mute struct {
	gateway.Gateway
	mu    sync.Mutex
	asked []string
}

func (m *mute) unless(op gateway.Operation, r gateway.Request, do func(context.Context, gateway.Request) (gateway.Answer, error), ctx context.Context) (gateway.Answer, error) {
	a, err := do(ctx, r)
	if string(op) != r.OrderID {
		return a, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r.OrderID)
	return gateway.Answer{}, errors.New("the process ends before it hears the answer")
}

func (m *mute) Authorize(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return m.unless(gateway.Authorize, r, m.Gateway.Authorize, ctx)
}

func (m *mute) Capture(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return m.unless(gateway.Capture, r, m.Gateway.Capture, ctx)
}

func (m *mute) Void(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return m.unless(gateway.Void, r, m.Gateway.Void, ctx)
}

func (m *mute) Refund(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return m.unless(gateway.Refund, r, m.Gateway.Refund, ctx)
}

func (m *mute) hasHeard(ops ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.ContainsFunc(ops, func(op string) bool { return !slices.Contains(m.asked, op) })
}

// TestRestart ends the process while a gateway has done what it was asked for and nobody knows: in each of the four operations. The next
// process goes on, and nothing is done twice.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			testRestart(t, f)
		})
	}
}

func testRestart(t *testing.T, f flow) {
	db := logtest.New(t)
	var kept []gateway.Answer
	config := simulator.Config{
		Keep: func(a gateway.Answer) error { kept = append(kept, a); return nil },
		Plan: func(op gateway.Operation, r gateway.Request, attempt int) simulator.Fault {
			if op == gateway.Capture && r.OrderID == "void" {
				return simulator.Declined
			}
			return simulator.None
		},
	}
	open := func(g gateway.Gateway) *app.Service {
		t.Helper()
		a := shop.WithCheckout(f.module(checkout.Config{Payments: paying.Service{Gateway: g}, Attempts: sagas.Attempts{Max: 1000, First: 10 * time.Millisecond, Longest: 10 * time.Millisecond}}))
		s, err := app.Open(t.Context(), a, app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8})
		if err == nil {
			err = s.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	closed := func(s *app.Service) {
		t.Helper()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("after a minute, %s", what)
			}
		}
	}
	do := func(s *app.Service, name, id string, command any) {
		t.Helper()
		if _, err := s.Do(t.Context(), name, id, command, commands.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	statusOf := func(s *app.Service, id string) order.Status {
		o, _, err := s.Commands.State(t.Context(), "order-"+id, commands.Moment{})
		if err != nil {
			t.Fatal(err)
		}
		return o.(order.Order).Status
	}

	before := &mute{Gateway: simulator.New(config)}
	first := open(before)
	for _, sku := range []string{"CUP", "POT"} {
		do(first, "stock.receive", sku, stock.Receive{SKU: sku, Quantity: received, At: at})
	}
	w := &world{TB: t, flow: f}
	for _, op := range []string{"authorize", "capture", "void", "refund"} {
		o := placed(op, 2, 1, 450)
		w.orders = append(w.orders, o)
		do(first, "order.place", op, o)
	}
	until("the order to be refunded is not confirmed", func() bool { return statusOf(first, "refund") == order.StatusConfirmed })
	do(first, "order.cancel", "refund", order.Cancel{Reason: "changed my mind", At: at})
	until("the gateway was not asked for all", func() bool { return before.hasHeard("authorize", "capture", "void", "refund") })
	closed(first)

	config.Past = slices.Clone(kept)
	w.gateway = simulator.New(config)
	second := open(w.gateway)
	defer closed(second)
	w.Test = apptest.Of(t, second)
	until("the accounts do not agree", func() bool {
		for id, want := range map[string]order.Status{"authorize": order.StatusConfirmed, "capture": order.StatusConfirmed, "void": order.StatusCancelled, "refund": order.StatusCancelled} {
			if statusOf(second, id) != want {
				return false
			}
		}
		return len(w.wrong()) == 0
	})
}

// TestOrdersDoneByHand: a checkout that hears of orders of before, which people have seen to, leaves them alone.
func TestOrdersDoneByHand(t *testing.T) {
	t.Parallel()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, apptest.New, f, nil, sagas.Attempts{})
			w.receive()
			want := map[string]order.Status{"confirmed": order.StatusConfirmed, "shipped": order.StatusShipped, "cancelled": order.StatusCancelled}
			for id, status := range want {
				w.do("order.place", id, placed(id, 2, 1, 450))
				if status == order.StatusCancelled {
					w.do("order.cancel", id, order.Cancel{Reason: "changed my mind", At: at})
					continue
				}
				w.do("order.confirm", id, order.Confirm{At: at})
				if status == order.StatusShipped {
					w.do("order.ship", id, order.Ship{At: at})
				}
			}
			for range 2 {
				w.redeliver(0)
				w.settle()
			}
			for id, status := range want {
				if got := w.State("order-" + id).(order.Order).Status; got != status {
					t.Errorf("order %s is %s, want %s", id, got, status)
				}
				if sent, asked := w.State("shipment-"+id).(shipment.Shipment).Status, w.gateway.Amounts(id); sent == shipment.StatusScheduled || asked.AuthorizedMinor != 0 {
					t.Errorf("order %s has the shipment %q, and the gateway %+v", id, sent, asked)
				}
			}
			w.check() // that nothing is reserved, too
		})
	}
}

// TestNotSent: a parcel that no carrier takes, of an order that is confirmed or about to be. The order is cancelled, and all is given back. One that
// is lost on its way, just before the shop hears of it, was sent.
func TestNotSent(t *testing.T) {
	t.Parallel()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var w *world
			w = newWorld(t, apptest.New, f, func(op gateway.Operation, r gateway.Request, attempt int) simulator.Fault {
				if op == gateway.Capture && attempt == 1 && r.OrderID == "at-once" {
					if _, err := w.Service.Do(w.Context(), "shipment.fail", r.OrderID, shipment.Fail{Reason: "nobody came", At: at}, commands.Options{}); err != nil {
						t.Error(err)
					}
				}
				return simulator.None
			}, sagas.Attempts{})
			w.receive()
			for _, id := range []string{"at-once", "later", "free", "kept", "gone"} {
				w.place(id, 2, 1, map[string]int64{"free": 0, "kept": 450, "at-once": 450, "later": 450, "gone": 450}[id])
			}
			w.settle()
			for _, id := range []string{"later", "free"} {
				w.do("shipment.fail", id, shipment.Fail{Reason: "nobody came", At: at})
			}
			w.do("shipment.dispatch", "gone", shipment.Dispatch{At: at})
			w.do("shipment.fail", "gone", shipment.Fail{Reason: "lost", At: at})
			w.settle()
			for _, id := range []string{"at-once", "later", "free"} {
				if got, why := w.State("order-"+id).(order.Order).Status, w.reason(id); got != order.StatusCancelled || why != "checkout: not sent: nobody came" {
					t.Errorf("order %s is %s (%s), want that it is cancelled, as nobody came", id, got, why)
				}
			}
			for id, want := range map[string]order.Status{"kept": order.StatusConfirmed, "gone": order.StatusShipped} {
				if got := w.State("order-" + id).(order.Order).Status; got != want {
					t.Errorf("order %s is %s, want %s", id, got, want)
				}
			}
			w.redeliver(1)
			w.settle()
			w.check()
		})
	}
}

// TestLostBeforeItsConfirmation: a parcel is on its way, and lost, before the shop has confirmed its order. It was sent.
func TestLostBeforeItsConfirmation(t *testing.T) {
	t.Parallel()
	for _, f := range flows[1:] {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var w *world
			w = newWorld(t, apptest.New, f, func(op gateway.Operation, r gateway.Request, attempt int) simulator.Fault {
				if op == gateway.Capture && attempt == 1 {
					_, err := w.Service.Do(w.Context(), "shipment.dispatch", r.OrderID, shipment.Dispatch{At: at}, commands.Options{})
					if err == nil {
						_, err = w.Service.Do(w.Context(), "shipment.fail", r.OrderID, shipment.Fail{Reason: "lost", At: at}, commands.Options{})
					}
					if err != nil {
						t.Error(err)
					}
				}
				return simulator.None
			}, sagas.Attempts{})
			w.receive()
			w.do("order.place", "lost", placed("lost", 2, 1, 450))
			w.settle()
			if got := w.State("order-lost").(order.Order).Status; got != order.StatusShipped {
				t.Errorf("the order is %s, want that it is shipped", got)
			}
			if s := w.State("stock-CUP").(stock.Stock); s.Reserved != 0 || s.OnHand != received-3 {
				t.Errorf("there are %+v on the shelf", s)
			}
		})
	}
}
