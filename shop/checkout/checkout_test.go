package checkout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/account"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	"github.com/57528e99/recount/shop/ledger"
	paying "github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

func TestMain(m *testing.M) { apptest.Main(m) }

var at = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)

// flow is a way to check orders out.
type flow struct {
	name   string
	module func(checkout.Config) app.Module
	// saga is the name of its saga; empty: it has none.
	saga string
	// sagaEnds are how far the saga may be with an order of a status when all has come to rest.
	sagaEnds map[order.Status][]sagas.Status
}

var flows = []flow{
	{"orchestrated", checkout.Orchestrated, checkout.Name, map[order.Status][]sagas.Status{
		order.StatusConfirmed: {sagas.Running}, order.StatusShipped: {sagas.Completed}, order.StatusCancelled: {sagas.Failed, sagas.Cancelled},
	}},
	{"choreographed", checkout.Choreographed, "", nil},
	{"hybrid", checkout.Hybrid, checkout.HybridName, map[order.Status][]sagas.Status{
		order.StatusConfirmed: {sagas.Completed}, order.StatusShipped: {sagas.Completed}, order.StatusCancelled: {sagas.Failed, sagas.Cancelled, sagas.Completed},
	}},
}

// world is a shop whose gateway meets faults.
type world struct {
	testing.TB
	*apptest.Test
	flow    flow
	gateway *simulator.Gateway
	orders  []order.Place

	mu sync.Mutex
	// now is the clock of the gateway.
	now time.Time
}

func newWorld(t testing.TB, run func(testing.TB, app.App) *apptest.Test, f flow, plan simulator.Plan, a sagas.Attempts) *world {
	w := &world{TB: t, flow: f, now: at}
	w.gateway = simulator.New(simulator.Config{
		Plan: plan,
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
		Callback: func(ctx context.Context, a gateway.Answer) error { return paying.Record(ctx, w.Service, a) },
	})
	w.Test = run(t, shop.WithCheckout(f.module(checkout.Config{Payments: paying.Service{Gateway: w.gateway}, Attempts: a})))
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
		err := w.Deliver()
		if failed := w.call(); err == nil {
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

// call has the gateway call back.
func (w *world) call() error {
	w.mu.Lock()
	w.now = w.now.Add(time.Minute)
	w.mu.Unlock()
	_, err := w.gateway.Deliver(w.Context())
	return err
}

func (w *world) retryStuck() (found bool) {
	w.Helper()
	if w.flow.saga == "" {
		return false
	}
	for _, o := range w.orders {
		i := w.saga(o.ID)
		for _, s := range i.Steps {
			if s.Status != sagas.NotUndone {
				continue
			}
			found = true
			act := sagas.Intervene{Intervened: sagas.Intervened{Act: sagas.Retry, Step: s.Name, Actor: "ops", Reason: "it should work"}}
			if _, err := w.Service.Sagas.Do(w.Context(), w.flow.saga, o.ID, act, commands.Options{}); err != nil {
				w.Fatal(err)
			}
		}
	}
	return found
}

func (w *world) saga(id string) sagas.Instance {
	w.Helper()
	i, _, err := w.Service.Sagas.Load(w.Context(), w.flow.saga, id)
	if err != nil {
		w.Fatal(err)
	}
	return i
}

// check compares all accounts, see wrong.
func (w *world) check() {
	w.Helper()
	lines := w.wrong()
	for _, line := range lines {
		w.Error(line)
	}
	if len(lines) > 0 {
		fmt.Printf("caught\t%s\t0\tall accounts of an order agree, in whatever order its events come\n", w.Name())
	}
	w.verify(time.Hour)
}

// verify has the invariants of the shop find nothing wrong after a while. At once a saga may wait for an operator.
func (w *world) verify(after time.Duration) {
	w.Helper()
	v, err := w.Service.Verify(w.Context(), app.VerifyOptions{Now: func() time.Time { return time.Now().Add(after) }})
	if err != nil {
		w.Fatal(err)
	}
	for _, i := range v.Invariants {
		if i.Wrong > 0 && (after > 0 || i.Name != "sagas") {
			w.Errorf("verify finds of %s: %+v", i.Name, i.Findings)
		}
	}
}

// wrong compares all accounts, and returns what does not agree: each order is at one allowed end, the log has what the gateway has done, and stock is
// reserved for confirmed orders alone.
func (w *world) wrong() (lines []string) {
	w.Helper()
	wrong := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	reserved, left := make(map[string]map[string]int64), make(map[string]int64)
	for _, o := range w.orders {
		total, err := goods.Total(o.Lines)
		if err != nil {
			w.Fatal(err)
		}
		status, booked := w.State("order-"+o.ID).(order.Order).Status, w.State("reservation-"+o.ID).(stock.Reservation).Status
		p, there := w.State("payment-"+o.ID).(payment.Payment), w.gateway.Amounts(o.ID)
		sent := w.State("shipment-" + o.ID).(shipment.Shipment).Status
		if p.CapturedMinor != there.CapturedMinor || p.RefundedMinor != there.RefundedMinor || p.Capturable() != there.Held() {
			wrong("order %s: the log has the payment %+v, the gateway %+v", o.ID, p, there)
		}
		fine, books := false, []stock.ReservationStatus{stock.ReservationReleased, stock.ReservationRefused}
		switch status {
		case order.StatusConfirmed:
			fine = p.Refundable() == total && p.Capturable() == 0 && sent == shipment.StatusScheduled
			books = []stock.ReservationStatus{stock.ReservationMade}
			for sku, sum := range goods.PerSKU(o.Lines) {
				if reserved[sku] == nil {
					reserved[sku] = make(map[string]int64)
				}
				reserved[sku][o.ID] = sum.Quantity
			}
		case order.StatusShipped:
			fine = p.Refundable() == total && p.Capturable() == 0 && (sent == shipment.StatusDispatched || sent == shipment.StatusFailed)
			books = []stock.ReservationStatus{stock.ReservationHandedOut}
			for sku, sum := range goods.PerSKU(o.Lines) {
				left[sku] += sum.Quantity
			}
		case order.StatusCancelled:
			fine = p.Refundable() == 0 && p.Capturable() == 0 && (sent == "" || sent == shipment.StatusCancelled || sent == shipment.StatusRecalled || sent == shipment.StatusFailed)
		}
		if w.flow.saga == "" {
			fine = fine && slices.Contains(books, booked)
		} else if i := w.saga(o.ID); !slices.Contains(w.flow.sagaEnds[status], i.Status) {
			wrong("order %s is %s, its process %s (%s %s)", o.ID, status, i.Status, i.Code, i.Error)
		}
		if !fine {
			wrong("order %s is %s, its reservation %q, its shipment %q, its payment %+v of %d", o.ID, status, booked, sent, p, total)
		}
	}
	for _, sku := range []string{"CUP", "POT"} {
		s := w.State("stock-" + sku).(stock.Stock)
		if fmt.Sprint(s.Reservations) != fmt.Sprint(reserved[sku]) || s.OnHand+left[sku] != received {
			wrong("%s is reserved for %v, want for the confirmed orders: %v; %d are on hand, and %d left for shipped orders", sku, s.Reservations, reserved[sku], s.OnHand, left[sku])
		}
	}
	lines = append(lines, w.wrongBooks()...)
	if w.flow.saga != "" {
		if timers := apptest.Rows(w.Test, sagas.Timers); len(timers) > 0 {
			wrong("timers are left: %+v", timers)
		}
	}
	return lines
}

// wrongBooks compares the ledger with the gateway.
func (w *world) wrongBooks() (lines []string) {
	w.Helper()
	var balances, want struct{ cards, sales, refunds, all int64 }
	for e, err := range w.Service.Log.ReadAll(w.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			w.Fatal(err)
		}
		if e.Type != "TransactionPosted" {
			continue
		}
		value, err := w.Service.Commands.Codec().Decode(e.Event)
		if err != nil {
			w.Fatal(err)
		}
		for _, entry := range value.(account.Posted).Entries {
			*map[string]*int64{ledger.Cards: &balances.cards, ledger.Sales: &balances.sales, ledger.Refunds: &balances.refunds}[entry.Account] += entry.AmountMinor
			balances.all += entry.AmountMinor
		}
	}
	for _, o := range w.orders {
		there := w.gateway.Amounts(o.ID)
		want.cards += there.CapturedMinor - there.RefundedMinor
		want.sales -= there.CapturedMinor
		want.refunds += there.RefundedMinor
	}
	if balances != want {
		lines = append(lines, fmt.Sprintf("the books come to %+v, the gateway to %+v", balances, want))
	}
	return lines
}

// TestCheckout has an order for each way that a checkout may go.
func TestCheckout(t *testing.T) {
	t.Parallel()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			t.Run("memory", func(t *testing.T) {
				t.Parallel()
				testCheckout(t, apptest.New, f)
			})
			if f.name == "hybrid" {
				return // what it does at once it has from the other two
			}
			t.Run("postgres", func(t *testing.T) {
				t.Parallel()
				testCheckout(t, apptest.Postgres, f)
			})
		})
	}
}

func testCheckout(t *testing.T, run func(testing.TB, app.App) *apptest.Test, f flow) {
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
	w = newWorld(t, run, f, plan, sagas.Attempts{Max: 3, First: time.Millisecond})
	w.receive()
	for _, id := range []string{"plain", "regretted", "sent", "declined", "not-captured", "cancelled", "unavailable", "lost-request", "lost-answer", "twice", "late"} {
		w.place(id, 2, 1, 450)
	}
	w.place("free", 2, 1, 0)
	w.place("too-many", 2, received+1, 450)
	w.settle()
	for _, step := range []string{"confirm", "ship"} { // is for the checkout
		if got := w.Request("POST", "/v1/orders/plain/"+step, ""); got.Code != 404 || !strings.Contains(got.Body.String(), "route-not-found") {
			t.Errorf("somebody can %s an order that is checked out: %d %s", step, got.Code, got.Body)
		}
	}
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
			t.Errorf("order %s is %s, want %s: %q", o.ID, got, want, w.reason(o.ID))
		}
	}
	for id, want := range map[string]string{
		"declined":     "checkout: [^:]*.*the card was declined$",
		"not-captured": "checkout: [^:]*.*the card was declined$",
		"too-many":     "checkout: (reserve: )?article POT: cannot reserve 111: ",
		"cancelled":    "changed my mind", "regretted": "changed my mind",
	} {
		if got := w.reason(id); !regexp.MustCompile("^" + want).MatchString(got) {
			t.Errorf("order %s is cancelled, for %q, want %q", id, got, want)
		}
	}
	// A process knows that nothing was asked for; who only reacts to the end of an order makes sure.
	none := "[]"
	if f.saga == "" {
		none = "[void]"
	}
	for id, want := range map[string]string{
		"free": "[]", "too-many": none, "declined": "[decline]", "plain": "[authorize capture]",
		"not-captured": "[authorize decline-capture void]", "regretted": "[authorize capture refund]",
	} {
		var steps []string
		for _, s := range w.State("payment-" + id).(payment.Payment).Steps {
			steps = append(steps, s.Do)
		}
		if fmt.Sprint(steps) != want {
			t.Errorf("the payment of order %s went %q, want %s", id, steps, want)
		}
	}
	if f.name == "orchestrated" {
		if i := w.saga("regretted"); i.Status != sagas.Cancelled {
			t.Errorf("the checkout that a customer cancelled is %s", i.Status)
		}
	}

	w.checkFlows()

	// Whatever is delivered again changes nothing.
	head := w.head()
	w.redeliver(0)
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
	missing := []string{"/v1/payments/free", "/v1/payments/a%20b", "/v1/shipments/a%20b"}
	if f.saga != "" {
		missing = append(missing, "/v1/shipments/too-many")
	}
	for _, path := range missing {
		if got := w.Request("GET", path, ""); got.Code != 404 {
			t.Errorf("GET %s = %d %s, want 404", path, got.Code, got.Body)
		}
	}
}

// TestCancelWhileTheGoodsLeave: a customer cancels when the carrier has the goods, and the shop does not know it yet. The goods come back, and all
// that was done is undone. When the shop knows it, it is too late.
func TestCancelWhileTheGoodsLeave(t *testing.T) {
	t.Parallel()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, apptest.New, f, nil, sagas.Attempts{})
			w.receive()
			w.place("recalled", 2, 1, 450)
			w.place("gone", 2, 1, 450)
			w.settle()
			w.do("shipment.dispatch", "gone", shipment.Dispatch{At: at})
			w.settle()
			if err := w.Do("order.cancel", "gone", order.Cancel{Reason: "changed my mind", At: at}); !errors.Is(err, order.ErrTransition) {
				t.Errorf("an order that is shipped is cancelled: %v", err)
			}
			w.do("shipment.dispatch", "recalled", shipment.Dispatch{At: at})
			w.do("order.cancel", "recalled", order.Cancel{Reason: "changed my mind", At: at})
			w.settle()
			w.check()
			if s := w.State("shipment-recalled").(shipment.Shipment); s.Status != shipment.StatusRecalled {
				t.Errorf("the shipment of an order that was cancelled is %s", s.Status)
			}
			isRefused := func(e any) bool {
				failed, ok := e.(sagas.StepFailed)
				return ok && failed.Step == "ship" && failed.Code == sagas.CodeRejected
			}
			if f.name == "orchestrated" && !slices.ContainsFunc(w.Events("saga-checkout-recalled"), isRefused) {
				t.Errorf("the process did not try to ship an order that was cancelled: %+v", w.saga("recalled"))
			}
		})
	}
}

// redeliver hands events of the log, from a position on, to the subscriptions of the checkout by which it hears of them.
func (w *world) redeliver(from int64) {
	w.Helper()
	for _, s := range w.Service.App.Subscriptions() {
		if name := s.Handler.Name(); strings.HasPrefix(name, checkout.Name+"-") || name == sagas.TriggersName(w.flow.saga) {
			ctx := app.WithService(w.Context(), w.Service)
			if _, err := s.Rehearse(ctx, w.Service.Commands.Codec(), w.Service.Log, from, delivery.Attempts{}); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// checkFlows demands that each event but what was received is in the flow of one order, and each flow is one tree, in which what customers and
// carriers did alone came from outside.
func (w *world) checkFlows() {
	w.Helper()
	seen := make(map[int64]string)
	for _, o := range w.orders {
		var flow queries.Traced
		got := w.Request("GET", "/v1/orders/"+o.ID+"/flow", "")
		if err := json.Unmarshal(got.Body.Bytes(), &flow); err != nil || got.Code != 200 || flow.Truncated {
			w.Fatalf("the flow of order %s: %d %s", o.ID, got.Code, got.Body)
		}
		for i, e := range flow.Events {
			if other, ok := seen[e.Position]; ok {
				w.Errorf("%s at position %d is in the flow of %s and in that of %s", e.Type, e.Position, other, o.ID)
			}
			seen[e.Position] = o.ID
			if (i == 0) != (e.Depth == 0) || (e.Link != queries.LinkCause) != slices.Contains([]string{"OrderPlaced", "ShipmentDispatched"}, e.Type) && !(e.Type == "OrderCancelled" && e.Via == "") {
				w.Errorf("in the flow of %s %s at position %d has depth %d and the cause %q", o.ID, e.Type, e.Position, e.Depth, e.CausationID)
			}
		}
	}
	for e, err := range w.Service.Log.ReadAll(w.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			w.Fatal(err)
		}
		if _, ok := seen[e.Position]; !ok && e.Type != "StockReceived" && !strings.HasPrefix(e.Type, "$") {
			w.Errorf("%s of %s at position %d is in no flow", e.Type, e.Stream, e.Position)
		}
	}
	if got := w.Request("GET", "/v1/orders/"+w.orders[0].ID+"/flow?data=true", ""); got.Code != 400 {
		w.Errorf("the flow of an order with data: %d %s", got.Code, got.Body)
	}
	if got := w.Request("GET", "/v1/orders/none/flow", ""); got.Code != 404 {
		w.Errorf("the flow of an order that there is not: %d %s", got.Code, got.Body)
	}
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
