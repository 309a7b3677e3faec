package shop_test

import (
	"net/http/httptest"
	"testing"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/internal/openapitest"
	"github.com/57528e99/recount/shop"
)

func TestTheAPIBreaksNoClient(t *testing.T) {
	t.Parallel()
	apptest.OpenAPI(t, shop.App(), "testdata/openapi.json")
}

func TestAnswersAreAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, shop.App())
	check := openapitest.New(t, must[[]byte](t)(shop.App().OpenAPI()))
	order := orderJSON("o1", "ann", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500))
	for _, c := range []struct {
		method, target, body string
		status               int
	}{
		{"POST", "/v1/orders?dry_run=1", order, 200},
		{"POST", "/v1/orders", order, 201},
		{"POST", "/v1/orders", order, 409},
		{"POST", "/v1/orders", "{", 400},
		{"POST", "/v1/orders/o1/confirm", "", 200},
		{"POST", "/v1/orders/o2/cancel", `{"reason":"none"}`, 404},
		{"POST", "/v1/stock/TEA-1/receive", `{"quantity":5}`, 200},
		{"POST", "/v1/commands", `{"type":"order.ship","id":"o1"}`, 200},
		{"POST", "/v1/commands", `{"commands":[{"type":"order.complete","id":"o1"},{"type":"order.complete","id":"o2"}]}`, 200},
		{"GET", "/v1/commands", "", 200},
		{"GET", "/v1/orders/o1", "", 200},
		{"GET", "/v1/orders/o2", "", 404},
		{"GET", "/v1/orders?limit=0", "", 400},
		{"GET", "/v1/stock/TEA-1", "", 200},
		{"GET", "/", "", 200},
		{"GET", "/livez", "", 200},
	} {
		w := x.Request(c.method, c.target, c.body)
		if w.Code != c.status {
			t.Errorf("%s %s = %d %s, want %d", c.method, c.target, w.Code, w.Body, c.status)
		}
		check(httptest.NewRequest(c.method, c.target, nil), w.Result())
	}
	demanded := openapitest.Required(t, x.Request("GET", "/openapi.json", "").Body.Bytes(), func(method, target, body string) (int, string) {
		w := x.Request(method, target, body)
		return w.Code, w.Body.String()
	})
	if demanded < 10 {
		t.Errorf("the document demands %d members of bodies", demanded)
	}
}
