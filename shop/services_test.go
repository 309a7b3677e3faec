package shop_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/shop"
)

// do sends a request that must be taken.
func do(t *testing.T, x *apptest.Test, path, body string) {
	t.Helper()
	if w := x.Request("POST", path, body); w.Code/100 != 2 {
		t.Fatalf("POST %s = %d %s", path, w.Code, w.Body)
	}
}

func delivered(t *testing.T, x *apptest.Test) {
	t.Helper()
	if err := x.Deliver(); err != nil {
		t.Fatal(err)
	}
}

// mailed returns what was sent to whom.
func mailed(x *apptest.Test) (all []string) {
	for _, m := range x.Mails() {
		all = append(all, m.To+" "+m.Subject)
	}
	return all
}

// metrics returns the lines of the metrics that begin with a name.
func metrics(s *app.Service, name string) (lines []string) {
	w := httptest.NewRecorder()
	s.Metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, name) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// withEmail is the body of an order with an address.
func withEmail(id, email string) string {
	body := orderJSON(id, "ann", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500))
	return fmt.Sprintf(`{"email":%q,%s`, email, strings.TrimPrefix(body, "{"))
}

// TestCustomersGetMails: of a new order and of each change of its status, on both stores; who has left no address gets none.
func TestCustomersGetMails(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := run(t, shop.App())
			old := []byte(`{"id":"o3","customer_id":"bob","country":"Norway","currency":"NOK","lines":[],"total_minor":0,"placed_at":"2020-01-02T03:04:05Z"}`)
			if _, err := x.Service.Log.Append(t.Context(), eventstore.StreamAppend{Stream: "order-o3", Expected: eventstore.NoStream, Events: []eventstore.Event{
				{ID: uuid.New(), Type: "OrderPlaced", SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON, Data: old}}}, eventstore.AppendOptions{}); err != nil {
				t.Fatal(err)
			}
			do(t, x, "/v1/orders", withEmail("o1", "ann@example.com"))
			do(t, x, "/v1/orders", orderJSON("o2", "ann", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500)))
			for _, id := range []string{"o1", "o2", "o3"} {
				do(t, x, "/v1/orders/"+id+"/confirm", "")
			}
			// No command decides so, but a log may have what no command decided.
			x.Given("order-o1", order.Confirmed{ID: "o1", At: time.Date(2030, 1, 3, 0, 0, 0, 0, time.UTC)})
			do(t, x, "/v1/orders/o1/ship", "")
			delivered(t, x)
			delivered(t, x)
			want(t, "mails", mailed(x), "<ann@example.com> Thank you for your order o1", "<ann@example.com> Your order o1 is confirmed", "<ann@example.com> Your order o1 is shipped")
			want(t, "metrics", metrics(x.Service, "shop_order_events_total"), `shop_order_events_total{outcome="deleted"} 0`,
				`shop_order_events_total{outcome="no_address"} 4`, `shop_order_events_total{outcome="sent"} 3`, `shop_order_events_total{outcome="unchanged"} 1`)
			first := x.Mails()[0]
			if first.Copies != 1 || !strings.Contains(first.Text, "2 x TEA-1\n\nTotal: 90.00 NOK") || !strings.Contains(first.HTML, "<td>TEA-1</td>") || first.From != `"Shop" <orders@shop.example>` {
				t.Errorf("the first mail is %+v", first)
			}
		})
	}
}

// TestMailsGoToTheCustomer who has an address, where the order has none: to the one of then, also about money that is given back.
func TestMailsGoToTheCustomer(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, shop.App())
	do(t, x, "/v1/customers", `{"id":"ann","email":"ann@example.com"}`)
	do(t, x, "/v1/orders", orderJSON("o1", "ann", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500)))
	do(t, x, "/v1/orders", orderJSON("o2", "bob", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500)))
	delivered(t, x)
	do(t, x, "/v1/customers/ann/change-email", `{"email":"ann@example.org"}`)
	do(t, x, "/v1/orders/o1/cancel", `{"reason":"found it cheaper"}`)
	at := time.Date(2030, 1, 3, 0, 0, 0, 0, time.UTC)
	x.Given("payment-o1", payment.Authorized{OrderID: "o1", Key: "a", AmountMinor: 9000, Currency: "NOK", At: at}, payment.Captured{OrderID: "o1", Key: "b", AmountMinor: 9000, Currency: "NOK", At: at},
		payment.Refunded{OrderID: "o1", Key: "c", AmountMinor: 9000, Currency: "NOK", At: at})
	delivered(t, x)
	do(t, x, "/v1/customers/ann/change-email", `{}`)
	do(t, x, "/v1/orders", orderJSON("o3", "ann", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500)))
	delivered(t, x)
	want(t, "mails", mailed(x), "<ann@example.com> Thank you for your order o1", "<ann@example.org> Your order o1 is cancelled", "<ann@example.org> Your money for order o1")
	for i, text := range []string{"We have your order o1", "Your order o1 is cancelled: found it cheaper.", "We have given back 90.00 NOK for your order o1."} {
		if m := x.Mails()[i]; !strings.Contains(m.Text, text) || m.HTML == "" {
			t.Errorf("mail %d is %q, %q; want one with %q", i, m.Text, m.HTML, text)
		}
	}
}

func TestAddressesOfOrders(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, shop.App())
	for _, address := range []string{"", "ann", "ann@", "Ann <ann@example.com>", "ann@example.com, eve@example.com", "ann@example.com\r\nBcc: eve@example.com", strings.Repeat("a", 255) + "@example.com"} {
		if w := x.Request("POST", "/v1/orders", withEmail("o1", address)); w.Code != 422 || !strings.Contains(w.Body.String(), "/email") {
			t.Errorf("an order with the address %q: %d %s, want 422 about /email", address, w.Code, w.Body)
		}
	}
}

// TestLowStockIsToldOnce, and again only after there was enough.
func TestLowStockIsToldOnce(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, shop.App())
	stockOf := func(step, body string) {
		t.Helper()
		do(t, x, "/v1/stock/TEA-1/"+step, body)
		delivered(t, x)
	}
	stockOf("receive", `{"quantity":12}`)
	stockOf("reserve", `{"order_id":"o1","quantity":2}`)
	want(t, "mails while there is enough", mailed(x))
	stockOf("reserve", `{"order_id":"o2","quantity":1}`)
	stockOf("reserve", `{"order_id":"o3","quantity":1}`)
	stockOf("commit", `{"order_id":"o3","quantity":1}`)
	want(t, "mails", mailed(x), "<purchasing@shop.example> TEA-1: 9 left")
	stockOf("receive", `{"quantity":2}`)
	stockOf("adjust", `{"delta":-10,"reason":"stolen"}`)
	want(t, "mails", mailed(x), "<purchasing@shop.example> TEA-1: 9 left", "<purchasing@shop.example> TEA-1: 0 left")

	// Another process begins in the middle.
	for _, s := range shop.App().Subscriptions() {
		if s.Handler.Name() == "low-stock-alerts" {
			if _, err := s.Rehearse(app.WithService(t.Context(), x.Service), x.Service.Commands.Codec(), x.Service.Log, 4, delivery.Attempts{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, copies := range []int{1, 2} {
		if got := x.Mails()[i].Copies; got != copies {
			t.Errorf("mail %d came %d times, want %d", i, got, copies)
		}
	}
}

// TestCancelledOrdersRestoreStock: once, however often the event is delivered, and whatever happens between.
func TestCancelledOrdersRestoreStock(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := run(t, shop.App())
			stockIs := func(when string, onHand, reserved int64) {
				t.Helper()
				if s := x.State("stock-TEA-1").(stock.Stock); s.OnHand != onHand || s.Reserved != reserved {
					t.Errorf("%s %d are on hand and %d reserved, want %d and %d", when, s.OnHand, s.Reserved, onHand, reserved)
				}
			}
			do(t, x, "/v1/stock/TEA-1/receive", `{"quantity":20}`)
			for _, id := range []string{"o1", "o2"} {
				body := orderJSON(id, "", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500)+","+lineJSON("NONE", 1, 100)+","+lineJSON("TEA-1", 1, 4000))
				do(t, x, "/v1/orders", body)
				do(t, x, "/v1/stock/TEA-1/reserve", `{"order_id":"`+id+`","quantity":3}`)
			}
			do(t, x, "/v1/stock/TEA-1/commit", `{"order_id":"o1","quantity":1}`)
			do(t, x, "/v1/orders/o1/cancel", `{"reason":"changed my mind"}`)
			delivered(t, x)
			stockIs("after the order was cancelled", 19, 3)

			do(t, x, "/v1/stock/TEA-1/reserve", `{"order_id":"o1","quantity":4}`)
			for range 2 {
				for _, s := range shop.App().Subscriptions() {
					if s.Handler.Name() == "cancelled-orders" {
						if _, err := s.Rehearse(app.WithService(t.Context(), x.Service), x.Service.Commands.Codec(), x.Service.Log, 0, delivery.Attempts{}); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if stockIs("after the event was delivered again", 19, 7); t.Failed() {
				fmt.Printf("caught\t%s\t0\ta command of a handler is run once for an event\n", t.Name())
			}
		})
	}
}

// TestMetricsOfOrders are of the log, not of the process.
func TestMetricsOfOrders(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	expected := []string{
		`shop_orders{currency="GBP"} 1`, `shop_orders{currency="NOK"} 1`, `shop_revenue_minor{currency="GBP"} 700`, `shop_revenue_minor{currency="NOK"} 9000`,
	}
	for run := range 2 {
		service := must[*app.Service](t)(app.Open(t.Context(), shop.App(), app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8}))
		if err := service.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if run == 0 {
			post := func(path, body string) {
				t.Helper()
				r, w := httptest.NewRequest("POST", path, strings.NewReader(body)), httptest.NewRecorder()
				r.Header.Set("Content-Type", "application/json")
				if service.API.ServeHTTP(w, r); w.Code/100 != 2 {
					t.Fatalf("POST %s = %d %s", path, w.Code, w.Body)
				}
			}
			post("/v1/orders", orderJSON("o1", "", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500)))
			post("/v1/orders", orderJSON("o2", "", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 1, 4500)))
			post("/v1/orders", orderJSON("o3", "", "France", "GBP", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 1, 700)))
			post("/v1/orders/o2/cancel", `{"reason":"changed my mind"}`)
		}
		var got []string
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && !slices.Equal(got, expected); time.Sleep(5 * time.Millisecond) {
			got = slices.Concat(metrics(service, "shop_orders"), metrics(service, "shop_revenue_minor"))
		}
		want(t, fmt.Sprintf("metrics in run %d", run), got, expected...)
		if err := service.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
