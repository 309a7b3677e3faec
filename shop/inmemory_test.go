package shop_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/shop"
)

// TestTheShopInMemory: what needs no statement in SQL answers as it does on PostgreSQL.
func TestTheShopInMemory(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := run(t, shop.App())
			answers := func(w *httptest.ResponseRecorder, status int, text string) {
				t.Helper()
				if w.Code != status || !strings.Contains(w.Body.String(), text) {
					t.Errorf("answer %d %s, want %d with %s", w.Code, w.Body, status, text)
				}
			}
			order := orderJSON("o1", "ann", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500))
			answers(x.Request("POST", "/v1/orders", order, "Idempotency-Key: k1"), 201, `"version":0`)
			answers(x.Request("POST", "/v1/orders", order, "Idempotency-Key: k1"), 201, `"version":0`)
			answers(x.Request("POST", "/v1/orders", order), 409, "order-exists")
			answers(x.Request("GET", "/v1/orders/o1", ""), 200, `"total_minor":9000`)
			answers(x.Request("POST", "/v1/orders/o1/confirm", "", `If-Match: "0"`), 200, `"version":1`)
			answers(x.Request("GET", "/v1/orders/o1", ""), 200, `"status":"confirmed"`)
			answers(x.Request("GET", "/v1/orders/o1?as_of=1", ""), 200, `"status":"placed"`)
			answers(x.Request("GET", "/v1/orders/o2", ""), 404, "not-found")
			answers(x.Request("POST", "/v1/stock/TEA-1/receive", `{"quantity":5}`), 200, `"version":0`)
			answers(x.Request("GET", "/v1/stock/TEA-1", ""), 200, `"on_hand":5`)
		})
	}
}
