package checkout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	paying "github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

func TestMain(m *testing.M) { apptest.Main(m) }

var at = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)

// world is a shop whose gateway meets faults.
type world struct {
	testing.TB
	*apptest.Test
	gateway *simulator.Gateway
	orders  []order.Place

	mu sync.Mutex
	// now is the clock of the gateway.
	now time.Time
}

func newWorld(t testing.TB, run func(testing.TB, app.App) *apptest.Test, plan simulator.Plan, a sagas.Attempts) *world {
	w := &world{TB: t, now: at}
	w.gateway = simulator.New(simulator.Config{
		Plan: plan,
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
		Callback: func(ctx context.Context, a gateway.Answer) error { return paying.Record(ctx, w.Service, a) },
	})
	w.Test = run(t, shop.WithCheckout(checkout.Orchestrated(checkout.Config{Payments: paying.Service{Gateway: w.gateway}, Attempts: a})))
	return w
}

// placed is an order of so many cups and pots, and a cup for nothing.
func placed(id string, cups, pots, price int64) order.Place {
	return order.Place{ID: id, Country: "Norway", Currency: "NOK", At: at, Lines: []goods.Line{
		{SKU: "CUP", Quantity: cups, UnitPriceMinor: price}, {SKU: "POT", Quantity: pots, UnitPriceMinor: price}, {SKU: "CUP", Quantity: 1},
	}}
}

func (w *world) place(id string, cups, pots, price int64) {
	w.Helper()
	o := placed(id, cups, pots, price)
	w.do("order.place", id, o)
	w.orders = append(w.orders, o)
}

// received is how many cups and pots there are, which is not enough for every order.
const received = 110

func (w *world) receive() {
	w.Helper()
	for _, sku := range []string{"CUP", "POT"} {
		w.do("stock.receive", sku, stock.Receive{SKU: sku, Quantity: received, At: at})
	}
}

func (w *world) do(name, id string, command any) {
	w.Helper()
	if err := w.Do(name, id, command); err != nil {
		w.Fatal(err)
	}
}

// settle lets everything happen that can: what fails is tried again, calls back come, and what cannot be undone is tried again by an operator.
func (w *world) settle() {
	w.Helper()
	for end := time.Now().Add(time.Minute); ; {
		w.mu.Lock()
		w.now = w.now.Add(time.Minute)
		w.mu.Unlock()
		err := w.Deliver()
		if _, failed := w.gateway.Deliver(w.Context()); err == nil {
			err = failed
		}
		stuck := w.retryStuck()
		if err == nil && !stuck {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("it does not settle: %v", err)
		}
	}
}

func (w *world) retryStuck() (found bool) {
	w.Helper()
	for _, o := range w.orders {
		i := w.saga(o.ID)
		for _, s := range i.Steps {
			if s.Status != sagas.NotUndone {
				continue
			}
			found = true
			act := sagas.Intervene{Intervened: sagas.Intervened{Act: sagas.Retry, Step: s.Name, Actor: "ops", Reason: "it should work"}}
			if _, err := w.Service.Sagas.Do(w.Context(), checkout.Name, o.ID, act, commands.Options{}); err != nil {
				w.Fatal(err)
			}
		}
	}
	return found
}

func (w *world) saga(id string) sagas.Instance {
	w.Helper()
	i, _, err := w.Service.Sagas.Load(w.Context(), checkout.Name, id)
	if err != nil {
		w.Fatal(err)
	}
	return i
}

// check compares all accounts: each order is at one allowed end, the log has what the gateway has done, and stock is reserved for
// confirmed orders alone.
func (w *world) check() {
	w.Helper()
	reserved, left := make(map[string]map[string]int64), make(map[string]int64)
	for _, o := range w.orders {
		total, err := goods.Total(o.Lines)
		if err != nil {
			w.Fatal(err)
		}
		status, i := w.State("order-"+o.ID).(order.Order).Status, w.saga(o.ID)
		p, there := w.State("payment-"+o.ID).(payment.Payment), w.gateway.Amounts(o.ID)
		sent := w.State("shipment-" + o.ID).(shipment.Shipment).Status
		if p.CapturedMinor != there.CapturedMinor || p.RefundedMinor != there.RefundedMinor || p.Capturable() != there.Held() {
			w.Errorf("order %s: the log has the payment %+v, the gateway %+v", o.ID, p, there)
		}
		fine := false
		switch status {
		case order.StatusConfirmed:
			fine = p.Refundable() == total && p.Capturable() == 0 && i.Status == sagas.Running && sent == shipment.StatusScheduled
			for sku, sum := range goods.PerSKU(o.Lines) {
				if reserved[sku] == nil {
					reserved[sku] = make(map[string]int64)
				}
				reserved[sku][o.ID] = sum.Quantity
			}
		case order.StatusShipped:
			fine = p.Refundable() == total && p.Capturable() == 0 && i.Status == sagas.Completed && sent == shipment.StatusDispatched
			for sku, sum := range goods.PerSKU(o.Lines) {
				left[sku] += sum.Quantity
			}
		case order.StatusCancelled:
			fine = p.Refundable() == 0 && p.Capturable() == 0 && (sent == "" || sent == shipment.StatusCancelled) && (i.Status == sagas.Failed || i.Status == sagas.Cancelled)
		}
		if !fine {
			w.Errorf("order %s is %s, its checkout %s (%s %s), its shipment %q, its payment %+v of %d", o.ID, status, i.Status, i.Code, i.Error, sent, p, total)
		}
	}
	for _, sku := range []string{"CUP", "POT"} {
		s := w.State("stock-" + sku).(stock.Stock)
		if fmt.Sprint(s.Reservations) != fmt.Sprint(reserved[sku]) || s.OnHand+left[sku] != received {
			w.Errorf("%s is reserved for %v, want for the confirmed orders: %v; %d are on hand, and %d left for shipped orders", sku, s.Reservations, reserved[sku], s.OnHand, left[sku])
		}
	}
	if timers := apptest.Rows(w.Test, sagas.Timers); len(timers) > 0 {
		w.Errorf("timers are left: %+v", timers)
	}
}

// onBoth runs a test in memory and on PostgreSQL.
func onBoth(t *testing.T, f func(t *testing.T, run func(testing.TB, app.App) *apptest.Test)) {
	t.Parallel()
	for name, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, run)
		})
	}
}

// TestCheckout has an order for each way that a checkout may go.
func TestCheckout(t *testing.T) {
	onBoth(t, func(t *testing.T, run func(testing.TB, app.App) *apptest.Test) {
		var w *world
		plan := func(op gateway.Operation, r gateway.Request, attempt int) simulator.Fault {
			switch {
			case r.OrderID == "cancelled" && op == gateway.Authorize: // meanwhile
				if _, err := w.Service.Do(w.Context(), "order.cancel", r.OrderID, order.Cancel{Reason: "changed my mind", At: at}, commands.Options{}); err != nil {
					t.Error(err)
				}
			case r.OrderID == "not-captured" && op == gateway.Capture, r.OrderID == "declined" && op == gateway.Authorize:
				return simulator.Declined
			case r.OrderID == "never-answered" && op == gateway.Capture && attempt > 1:
				return simulator.None // it was captured, as who refunds finds out
			case r.OrderID == "never-answered" && op == gateway.Capture:
				return simulator.LostRequest
			case attempt == 1:
				return simulator.Fault(r.OrderID) // of every operation
			}
			return simulator.None
		}
		w = newWorld(t, run, plan, sagas.Attempts{Max: 3, First: time.Millisecond})
		w.receive()
		for _, id := range []string{"plain", "regretted", "sent", "declined", "not-captured", "cancelled", "unavailable", "lost-request", "lost-answer", "twice", "late"} {
			w.place(id, 2, 1, 450)
		}
		w.place("free", 2, 1, 0)
		w.place("too-many", 2, received+1, 450)
		w.settle()
		w.do("order.cancel", "regretted", order.Cancel{Reason: "changed my mind", At: at})
		w.do("shipment.dispatch", "sent", shipment.Dispatch{At: at})
		w.settle()
		w.check()

		confirmed := []string{"free", "late", "lost-answer", "lost-request", "plain", "twice", "unavailable"}
		for _, o := range w.orders {
			want := order.StatusCancelled
			if slices.Contains(confirmed, o.ID) {
				want = order.StatusConfirmed
			}
			if o.ID == "sent" {
				want = order.StatusShipped
			}
			if got := w.State("order-" + o.ID).(order.Order).Status; got != want {
				t.Errorf("order %s is %s, want %s: %+v", o.ID, got, want, w.saga(o.ID))
			}
		}
		for id, want := range map[string]string{
			"declined":     "checkout: authorize: payment gateway declined to authorize for order declined: the card was declined",
			"not-captured": "checkout: capture: payment gateway declined to capture for order not-captured: the card was declined",
			"too-many":     "checkout: reserve: article POT: cannot reserve 111: ",
			"cancelled":    "changed my mind", "regretted": "changed my mind",
		} {
			if got := w.reason(id); !strings.HasPrefix(got, want) {
				t.Errorf("order %s is cancelled, for %q, want %q", id, got, want)
			}
		}
		for id, want := range map[string]string{
			"free": "[]", "too-many": "[]", "declined": "[decline]", "plain": "[authorize capture]",
			"not-captured": "[authorize void]", "regretted": "[authorize capture refund]",
		} {
			var steps []string
			for _, s := range w.State("payment-" + id).(payment.Payment).Steps {
				steps = append(steps, s.Do)
			}
			if fmt.Sprint(steps) != want {
				t.Errorf("the payment of order %s went %q, want %s", id, steps, want)
			}
		}
		if i := w.saga("regretted"); i.Status != sagas.Cancelled {
			t.Errorf("the checkout that a customer cancelled is %s", i.Status)
		}

		// Whatever is delivered again changes nothing.
		head := w.head()
		for _, s := range w.Service.App.Subscriptions() {
			if strings.HasPrefix(s.Handler.Name(), sagas.TriggersName(checkout.Name)) {
				ctx := app.WithService(t.Context(), w.Service)
				if _, err := s.Rehearse(ctx, w.Service.Commands.Codec(), w.Service.Log, 0, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.settle()
		if after := w.head(); after != head {
			t.Errorf("delivered again, the events lead to %d new ones", after-head)
		}
		for path, want := range map[string]string{
			"/v1/payments/regretted": `{"order_id":"regretted","currency":"NOK","authorized_minor":1350,"captured_minor":1350,"refunded_minor":1350,"voided":false}`,
			"/v1/shipments/sent":     `{"id":"sent","order_id":"sent","status":"dispatched"}`,
		} {
			if got := w.Request("GET", path, ""); got.Code != 200 || strings.TrimSpace(got.Body.String()) != want {
				t.Errorf("GET %s = %d %s, want %s", path, got.Code, got.Body, want)
			}
		}
		if got := w.Request("POST", "/v1/shipments/sent/dispatch", ""); got.Code != 409 || !strings.Contains(got.Body.String(), "shipment-status") {
			t.Errorf("a shipment is dispatched again: %d %s", got.Code, got.Body)
		}
		for _, path := range []string{"/v1/payments/free", "/v1/payments/a%20b", "/v1/shipments/too-many", "/v1/shipments/a%20b"} {
			if got := w.Request("GET", path, ""); got.Code != 404 {
				t.Errorf("GET %s = %d %s, want 404", path, got.Code, got.Body)
			}
		}
	})
}

func (w *world) head() int64 {
	head, err := w.Service.Log.Head(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return head.Position
}

// reason is why an order was cancelled.
func (w *world) reason(id string) (reason string) {
	for _, e := range w.Events("order-" + id) {
		if c, ok := e.(order.Cancelled); ok {
			reason = c.Reason
		}
	}
	return reason
}
