package shop_test

import (
	"net/http"
	"strings"
	"testing"
)

// One order, all the way, with what the client sees at each step.
func TestAnOrderFromPostToGet(t *testing.T) {
	t.Parallel()
	s := start(t)
	const at = "2026-03-01T10:30:00Z"
	a := s.do("POST", "/v1/orders", orderJSON("42", "c-7", "United Kingdom", "GBP", at, lineJSON("MUG-1A", 6, 240), lineJSON("TEA TOWEL", 1, 0)))
	if want := `{"stream":"order-42","version":0,"position":1,"id":"42"}` + "\n"; a.status != http.StatusCreated || a.body != want {
		t.Fatalf("%s = %d %s, want 201 %s", a.request, a.status, a.body, want)
	}
	if a.header.Get("Location") != "/v1/orders/42" || a.header.Get("ETag") != `"0"` {
		t.Errorf("Location %q, ETag %q", a.header.Get("Location"), a.header.Get("ETag"))
	}

	token := "Consistency-Token: " + a.header.Get("Consistency-Token")
	a = s.do("GET", "/v1/orders/42", "", token, "Prefer: wait=9")
	want := `{"id":"42","customer_id":"c-7","country":"United Kingdom","currency":"GBP",` +
		`"lines":[{"sku":"MUG-1A","description":"MUG-1A","quantity":6,"unit_price_minor":240},` +
		`{"sku":"TEA TOWEL","description":"TEA TOWEL","quantity":1,"unit_price_minor":0}],` +
		`"placed_at":"2026-03-01T10:30:00Z","status":"placed","total_minor":1440}` + "\n"
	if a.status != http.StatusOK || a.body != want || a.header.Get("ETag") != `"0"` {
		t.Errorf("%s = %d, ETag %s\n%swant ETag \"0\"\n%s", a.request, a.status, a.header.Get("ETag"), a.body, want)
	}

	for _, step := range []struct{ do, status, tag string }{
		{"confirm", "confirmed", `"1"`}, {"ship", "shipped", `"2"`}, {"complete", "completed", `"3"`},
	} {
		after := s.post("/v1/orders/42/"+step.do, "", "If-Match: "+a.header.Get("ETag"))
		a = s.do("GET", "/v1/orders/42", "", after, "Prefer: wait=9")
		if a.header.Get("ETag") != step.tag || !strings.Contains(a.body, `"status":"`+step.status+`"`) {
			t.Errorf("after %s: ETag %s, %s", step.do, a.header.Get("ETag"), a.body)
		}
	}
}
