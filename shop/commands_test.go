package shop_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/57528e99/recount/shop"
)

const day = "2026-03-01T10:00:00Z"

// small is an order of one mug.
func small(id string) string {
	return orderJSON(id, "c-1", "EIRE", "EUR", day, lineJSON("MUG", 1, 250))
}

func TestEveryCommandRoute(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{"/v1/orders", small("1"), 201, `{"stream":"order-1","version":0,"position":1,"id":"1"}`},
		{"/v1/orders/1/confirm", ``, 200, `{"stream":"order-1","version":1,"position":2}`},
		{"/v1/orders/1/ship", `{}`, 200, `{"stream":"order-1","version":2,"position":3}`},
		{"/v1/orders/1/complete", `{"at":"2026-03-02T09:00:00+01:00"}`, 200, `{"stream":"order-1","version":3,"position":4}`},
		{"/v1/orders", small("2"), 201, `{"stream":"order-2","version":0,"position":5,"id":"2"}`},
		{"/v1/orders/2/cancel", `{"reason":"changed their mind","at":"2026-03-02T10:00:00Z"}`, 200, `{"stream":"order-2","version":1,"position":6}`},
		{"/v1/stock/TEA%20TOWEL%20%C3%A9/receive", `{"quantity":10}`, 200, `{"stream":"stock-TEA TOWEL é","version":0,"position":7}`},
		{"/v1/stock/TEA%20TOWEL%20%C3%A9/adjust", `{"delta":-1,"reason":"torn"}`, 200, `{"stream":"stock-TEA TOWEL é","version":1,"position":8}`},
		{"/v1/stock/TEA%20TOWEL%20%C3%A9/reserve", `{"order_id":"1","quantity":5}`, 200, `{"stream":"stock-TEA TOWEL é","version":2,"position":9}`},
		{"/v1/stock/TEA%20TOWEL%20%C3%A9/release", `{"order_id":"1","quantity":2}`, 200, `{"stream":"stock-TEA TOWEL é","version":3,"position":10}`},
		{"/v1/stock/TEA%20TOWEL%20%C3%A9/commit", `{"order_id":"1","quantity":1,"at":"2026-03-02T10:00:00Z"}`, 200, `{"stream":"stock-TEA TOWEL é","version":4,"position":11}`},
		{"/v1/returns", orderJSON("r-1", "", "EIRE", "EUR", day, lineJSON("MUG", 1, 250)), 200, `{"stream":"return-r-1","version":0,"position":12,"id":"r-1"}`},
	} {
		a := s.do("POST", c.path, c.body)
		if a.status != c.status || a.body != c.answer+"\n" {
			t.Errorf("%s %s = %d %s, want %d %s", a.request, c.body, a.status, a.body, c.status, c.answer)
		}
		if a.header.Get("Consistency-Token") == "" || a.header.Get("ETag") == "" {
			t.Errorf("%s: no Consistency-Token or ETag in %v", a.request, a.header)
		}
	}
	a := s.do("GET", "/v1/stock/TEA%20TOWEL%20%C3%A9", "", s.head(), "Prefer: wait=9")
	want := `{"sku":"TEA TOWEL é","on_hand":8,"reserved":2,"available":6}` + "\n"
	if a.status != http.StatusOK || a.body != want || a.header.Get("ETag") != `"4"` {
		t.Errorf("%s = %d, ETag %s, %s want %s", a.request, a.status, a.header.Get("ETag"), a.body, want)
	}
}

// head is the header of a read that sees everything there is.
func (s *server) head() string {
	s.Helper()
	head, err := s.store.Head(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return "Consistency-Token: " + head.String()
}

// Every line of the table of problems, from over HTTP, and every page of them.
func TestEveryRefusal(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", small("1"))
	s.post("/v1/returns", small("r-1"))
	s.post("/v1/customers", `{"id":"ann"}`)
	s.post("/v1/customers", `{"id":"new"}`)
	if a := s.do("GET", "/v1/customers/new", ""); a.status != http.StatusOK || !strings.Contains(a.body, `"totals":[],"items":[]`) {
		t.Errorf("who has registered and not ordered is %d %s", a.status, a.body)
	}
	s.post("/v1/stock/MUG/receive", `{"quantity":5}`)
	s.post("/v1/stock/MUG/reserve", `{"order_id":"1","quantity":3}`)
	s.do("POST", "/v1/projections/orders/rebuild", `{"throttle":1}`) // takes a second
	var codes []string
	for _, c := range []struct {
		path, body   string
		status       int
		code, detail string
	}{
		{"/v1/orders", small("1"), 409, "order-exists", "use another id"},
		{"/v1/orders", orderJSON("2", "", "EIRE", "eur", day, lineJSON("MUG", 1, 1)), 422, "invalid-input", "/currency must be an ISO 4217 code"},
		{"/v1/orders/1/ship", ``, 409, "order-status", "it is placed (it can only be shipped when confirmed)"},
		{"/v1/orders/2/confirm", ``, 404, "order-not-found", "never placed"},
		{"/v1/orders/2/cancel", `{"reason":"x"}`, 404, "order-not-found", "never placed"},
		{"/v1/returns", small("r-1"), 409, "return-exists", "use another id"},
		{"/v1/stock/MUG/reserve", `{"order_id":"2","quantity":3}`, 409, "stock-insufficient", "2 available (3 more are reserved)"},
		{"/v1/stock/MUG/adjust", `{"delta":-3,"reason":"lost"}`, 409, "stock-insufficient", "cannot take off 3"},
		{"/v1/stock/MUG/commit", `{"order_id":"1","quantity":4}`, 409, "stock-not-reserved", "it has 3 reserved"},
		{"/v1/stock/MUG/release", `{"order_id":"2","quantity":1}`, 409, "stock-not-reserved", "it has 0 reserved"},
		{"/v1/customers", `{"id":"ann"}`, 409, "customer-exists", "use another id"},
		{"/v1/customers/bob/change-email", `{}`, 404, "customer-not-found", "never registered"},
		{"/v1/customers/b%20b/change-email", `{}`, 404, "customer-not-found", "never registered"},
		{"/v1/shipments/1/dispatch", ``, 404, "shipment-not-found", "never scheduled"},
		{"/v1/projections/orders/verify", ``, 409, "projection-busy", "a rebuild is running"},
		{"/v1/projections/nothing/rebuild", ``, 404, "projection-not-found", "nothing"},
		{"/v1/projections/orders/skip", `{"position":1,"reason":"x"}`, 409, "projection-not-failed", "has not failed on an event"},
		{"/v1/projections/orders/repair", ``, 400, "invalid-operation", "key must be that of the row"},
	} {
		p := s.do("POST", c.path, c.body).wantProblem(t, c.status, c.code)
		if !strings.Contains(p.Detail, c.detail) {
			t.Errorf("POST %s: detail %q, want one with %q", c.path, p.Detail, c.detail)
		}
		codes = append(codes, p.Code)
	}
	codes = append(codes, s.do("DELETE", "/v1/projections/orders", "").wantProblem(t, 409, "projection-in-use").Code)
	for _, m := range shop.App().Modules {
		for _, line := range m.Problems {
			// To have more than 2^53 units on hand takes nine million commands, a sum is for reads, and a shipment needs a checkout.
			elsewhere := []string{"stock-full", "total-too-large", "shipment-status"}
			if !slices.Contains(append(codes, elsewhere...), line.Kind.Code) {
				t.Errorf("no refusal had the code %s", line.Kind.Code)
			}
		}
	}
	for _, line := range shop.App().Problems() {
		if a := s.do("GET", "/problems/"+line.Kind.Code, ""); a.status != http.StatusOK {
			t.Errorf("%s = %d", a.request, a.status)
		}
	}
}

func TestARepeatedRequestGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", small("1"))
	s.post("/v1/stock/MUG/receive", `{"quantity":5}`)
	for i, c := range []struct {
		name, path, body string
		// change makes the same request end differently, if it were carried out.
		change, with string
	}{
		{"accepted", "/v1/orders/1/confirm", ``, "/v1/orders/1/ship", ``},
		{"with an id made here", "/v1/orders", orderJSON("", "", "EIRE", "EUR", day, lineJSON("MUG", 1, 1)), "/v1/orders", small("2")},
		{"refused for the status", "/v1/orders/2/ship", `{"at":"2026-03-02T10:00:00Z"}`, "/v1/orders/2/confirm", ``},
		{"refused for lack of stock", "/v1/stock/MUG/reserve", `{"order_id":"2","quantity":9}`, "/v1/stock/MUG/receive", `{"quantity":100}`},
		{"refused for a value", "/v1/stock/MUG/receive", `{"quantity":0}`, "/v1/stock/MUG/receive", `{"quantity":1}`},
		{"refused for what is not there", "/v1/orders/3/confirm", ``, "/v1/orders", small("3")},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := strings.Replace(c.body, `"id":"",`, "", 1)
			key := fmt.Sprintf(`Idempotency-Key: "key-%d"`, i)
			first := s.do("POST", c.path, body, key)
			s.post(c.change, c.with)
			before := s.head()
			again := s.do("POST", c.path, body, key)
			if again.status != first.status || again.body != first.body {
				t.Errorf("again: %d %s, first: %d %s", again.status, again.body, first.status, first.body)
			}
			for _, name := range []string{"Location", "ETag", "Consistency-Token", "Content-Type"} {
				if again.header.Get(name) != first.header.Get(name) {
					t.Errorf("again: %s %q, first: %q", name, again.header.Get(name), first.header.Get(name))
				}
			}
			for _, name := range []string{"Idempotency-Replayed", "X-Idempotency-Replayed"} {
				if first.header.Get(name) != "" || again.header.Get(name) != "true" {
					t.Errorf("%s: %q and then %q, want none and true", name, first.header.Get(name), again.header.Get(name))
				}
			}
			if s.head() != before {
				t.Error("the repeated request has written something")
			}
		})
	}
}

func TestAKeyIsForOneRequest(t *testing.T) {
	t.Parallel()
	s := start(t)
	const key = "Idempotency-Key: k"
	s.post("/v1/orders", small("1"), key)
	s.do("POST", "/v1/orders", strings.Replace(small("1"), "EIRE", "France", 1), key).wantProblem(t, 422, "idempotency-key-reused")
	// White space and the order of members do not make another request.
	a := s.do("POST", "/v1/orders", strings.Replace(small("1"), `{"id":"1",`, `{ "id" : "1", `, 1), key)
	if a.status != http.StatusCreated || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s = %d %s, want a replay", a.request, a.status, a.body)
	}
	// The route of all commands makes no other one of it.
	a = s.do("POST", "/v1/commands", `{"type":"order.place","key":"k","data":`+small("1")+`}`)
	if a.status != http.StatusCreated || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s = %d %s, want a replay", a.request, a.status, a.body)
	}
	// Another command is another scope, and so is another order.
	s.post("/v1/orders/1/confirm", "", key)
	s.do("POST", "/v1/orders/2/confirm", "", key).wantProblem(t, 404, "order-not-found")
	s.do("GET", "/v1/orders/2", "", s.head()).wantProblem(t, 404, "not-found")
	if a := s.do("POST", "/v1/orders", small("2"), key); a.status != http.StatusCreated || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%s = %d %s, want another order", a.request, a.status, a.body)
	}
}

func TestAnIDIsMadeHereIfTheClientChoseNone(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, id := range []string{`"id":null,`, ``} {
		body := strings.Replace(small("?"), `"id":"?",`, id, 1)
		a := s.do("POST", "/v1/orders", body)
		location := a.header.Get("Location")
		if a.status != http.StatusCreated || !strings.HasPrefix(location, "/v1/orders/") || len(location) != len("/v1/orders/")+36 {
			t.Fatalf("%s = %d, Location %q", a.request, a.status, location)
		}
		var o struct{ ID string }
		s.get(location, &o, "Consistency-Token: "+a.header.Get("Consistency-Token"))
		if "/v1/orders/"+o.ID != location {
			t.Errorf("GET %s has id %q", location, o.ID)
		}
	}
}

func TestBusinessTimeMayBeGivenUnderEitherName(t *testing.T) {
	t.Parallel()
	s := start(t)
	with := func(path, times string) answer {
		return s.do("POST", path, `{"country":"EIRE","currency":"EUR","lines":[`+lineJSON("MUG", 1, 1)+`],`+times+`}`)
	}
	for path, name := range map[string]string{"/v1/orders": "placed_at", "/v1/returns": "returned_at"} {
		for _, times := range []string{
			`"` + name + `":"2020-01-02T03:04:05Z"`,
			`"at":"2020-01-02T03:04:05Z"`,
			`"at":"2020-01-02T04:04:05+01:00","` + name + `":"2020-01-02T03:04:05Z"`,
		} {
			if a := with(path, times); a.status >= 300 {
				t.Errorf("%s with %s = %d %s", a.request, times, a.status, a.body)
			}
		}
		p := with(path, `"at":"2020-01-02T03:04:05Z","`+name+`":"2020-01-02T03:04:06Z"`).wantProblem(t, 400, "invalid-body")
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/"+name {
			t.Errorf("errors = %+v, want one at /%s", p.Errors, name)
		}
	}
	var sold, none struct{ Items []struct{ Orders int } }
	s.get("/v1/sales?by=day&from=2020-01-02&to=2020-01-02", &sold, s.head())
	s.get("/v1/sales?by=day&from=2020-01-03", &none, s.head())
	if len(sold.Items) != 1 || sold.Items[0].Orders != 3 || len(none.Items) != 0 {
		t.Errorf("sales on the day: %+v, later: %+v; want 3 orders and nothing", sold, none)
	}
}

func TestAStaleETagIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", small("1"), "If-None-Match: *")
	s.post("/v1/orders/1/confirm", "", `If-Match: "0"`)
	p := s.do("POST", "/v1/orders/1/ship", "", `If-Match: "0"`).wantProblem(t, 412, "precondition-failed")
	if p.Expected == nil || *p.Expected != 0 || p.Actual == nil || *p.Actual != 1 {
		t.Errorf("expected %v, actual %v; want 0 and 1", p.Expected, p.Actual)
	}
	s.do("POST", "/v1/orders", small("1"), "If-None-Match: *").wantProblem(t, 412, "precondition-failed")
	s.do("POST", "/v1/orders/2/confirm", "", "If-Match: *").wantProblem(t, 412, "precondition-failed")
	s.post("/v1/orders/1/ship", "", `If-Match: "1"`)

	a := s.do("GET", "/v1/orders/1", "", s.head(), "Prefer: wait=9")
	if a = s.do("GET", "/v1/orders/1", "", "If-None-Match: "+a.header.Get("ETag")); a.status != http.StatusNotModified {
		t.Errorf("%s with its ETag = %d, want 304", a.request, a.status)
	}
}
