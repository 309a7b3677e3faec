package shop_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// order returns an order with one member changed: name is its JSON name, value
// any text that takes the place of its value.
func orderWith(name, value string) string {
	members := []string{"id", "customer_id", "country", "currency", "at", "lines"}
	values := map[string]string{
		"id": `"x"`, "customer_id": `null`, "country": `"EIRE"`, "currency": `"EUR"`, "at": `"` + day + `"`,
		"lines": "[" + lineJSON("MUG", 1, 250) + "]",
	}
	if _, ok := values[name]; !ok {
		members = append(members, name)
	}
	values[name] = value
	var b strings.Builder
	for i, m := range members {
		fmt.Fprintf(&b, "%c%q:%s", "{,"[min(i, 1)], m, values[m])
	}
	return b.String() + "}"
}

func lineWith(name, value string) string {
	line := map[string]string{"sku": `"MUG"`, "description": `""`, "quantity": `1`, "unit_price_minor": `250`}
	line[name] = value
	return orderWith("lines", fmt.Sprintf(`[{"sku":%s,"description":%s,"quantity":%s,"unit_price_minor":%s}]`,
		line["sku"], line["description"], line["quantity"], line["unit_price_minor"]))
}

// Whatever is sent, the answer says what to do, and nothing is written.
func TestBadOrders(t *testing.T) {
	t.Parallel()
	s := start(t)
	manyLines := strings.TrimSuffix(strings.Repeat(lineJSON("MUG", 1, 1)+",", 10_000), ",")
	for _, c := range []struct {
		name, body string
		status     int
		code       string
		pointer    string
	}{
		{"empty", " ", 400, "malformed-json", ""},
		{"cut off", small("x")[:60], 400, "malformed-json", ""},
		{"two objects", small("x") + small("x"), 400, "malformed-json", ""},
		{"a trailing comma", orderWith("lines", "[1,]"), 400, "malformed-json", ""},
		{"an array", "[" + small("x") + "]", 400, "invalid-body", ""},
		{"null", "null", 400, "invalid-body", ""},
		{"not UTF-8", orderWith("country", "\"\xff\""), 400, "malformed-json", ""},
		{"a lone surrogate", orderWith("country", `"\ud800"`), 400, "malformed-json", ""},
		{"half a pair in an id", orderWith("id", `"\udc00x"`), 400, "malformed-json", ""},
		{"NUL", orderWith("country", `"a\u0000b"`), 400, "invalid-body", "/country"},
		{"NUL in a line", lineWith("description", `"\u0000"`), 400, "invalid-body", "/lines/0/description"},
		{"a control character", lineWith("description", `"a\nb"`), 422, "invalid-input", "/lines/0/description"},
		{"nested too deep", orderWith("lines", strings.Repeat("[", 40)+strings.Repeat("]", 40)), 400, "invalid-body", ""},
		{"a member twice", orderWith("lines", `[],"lines":[]`), 400, "malformed-json", "/lines"},
		{"an unknown member", orderWith("total_minor", "250"), 400, "invalid-body", "/total_minor"},
		{"an unknown member of a line", orderWith("lines", `[{"sku":"MUG","quantity":1,"price":1}]`), 400, "invalid-body", "/lines/0/price"},
		{"another case", strings.Replace(small("x"), `"country"`, `"Country"`, 1), 400, "invalid-body", "/Country"},
		{"a number for an id", orderWith("id", "42"), 400, "invalid-body", "/id"},
		{"a string for a quantity", lineWith("quantity", `"1"`), 400, "invalid-body", "/lines/0/quantity"},
		{"a fraction", lineWith("quantity", "1.5"), 400, "invalid-body", "/lines/0/quantity"},
		{"an object for lines", orderWith("lines", "{}"), 400, "invalid-body", "/lines"},
		{"null for a country", orderWith("country", "null"), 400, "invalid-body", "/country"},
		{"no country", strings.Replace(small("x"), `"country":"EIRE",`, "", 1), 400, "invalid-body", "/country"},
		{"no quantity", orderWith("lines", `[{"sku":"MUG","unit_price_minor":1}]`), 400, "invalid-body", "/lines/0/quantity"},
		{"no price", orderWith("lines", `[{"sku":"MUG","quantity":1}]`), 400, "invalid-body", "/lines/0/unit_price_minor"},
		{"null for a price", lineWith("unit_price_minor", "null"), 400, "invalid-body", "/lines/0/unit_price_minor"},
		{"a number beyond doubles", lineWith("quantity", "1e400"), 400, "invalid-body", "/lines/0/quantity"},
		{"a number beyond int64", lineWith("quantity", "9223372036854775808"), 400, "invalid-body", "/lines/0/quantity"},
		{"a number beyond 2^53", lineWith("unit_price_minor", "9007199254740993"), 400, "invalid-body", "/lines/0/unit_price_minor"},
		{"a huge price", lineWith("unit_price_minor", "9007199254740991"), 422, "invalid-input", "/lines/0/unit_price_minor"},
		{"a total too large", orderWith("lines", "["+lineJSON("A", 1e9, 1e6)+"]"), 422, "invalid-input", "/lines/0"},
		{"a negative price", lineWith("unit_price_minor", "-1"), 422, "invalid-input", "/lines/0/unit_price_minor"},
		{"a negative quantity", lineWith("quantity", "-3"), 422, "invalid-input", "/lines/0/quantity"},
		{"quantity zero", lineWith("quantity", "0"), 422, "invalid-input", "/lines/0/quantity"},
		{"no lines", orderWith("lines", "[]"), 422, "invalid-input", "/lines"},
		{"10,000 lines", orderWith("lines", "["+manyLines+"]"), 422, "invalid-input", "/lines"},
		{"an empty sku", lineWith("sku", `""`), 422, "invalid-input", "/lines/0/sku"},
		{"a sku with a slash", lineWith("sku", `"a/b"`), 422, "invalid-input", "/lines/0/sku"},
		{"a long sku", lineWith("sku", `"`+strings.Repeat("s", 65)+`"`), 422, "invalid-input", "/lines/0/sku"},
		{"an empty id", orderWith("id", `""`), 422, "invalid-input", "/id"},
		{"an id with a slash", orderWith("id", `"a/b"`), 422, "invalid-input", "/id"},
		{"an id of dots", orderWith("id", `".."`), 422, "invalid-input", "/id"},
		{"a long id", orderWith("id", `"`+strings.Repeat("i", 5000)+`"`), 422, "invalid-input", "/id"},
		{"an id with a line break", orderWith("id", `"a\r\nSet-Cookie: b"`), 422, "invalid-input", "/id"},
		{"an empty customer", orderWith("customer_id", `""`), 422, "invalid-input", "/customer_id"},
		{"no time", orderWith("at", `"yesterday"`), 400, "invalid-body", "/at"},
		{"a time without an offset", orderWith("at", `"2026-03-01T10:00:00"`), 400, "invalid-body", "/at"},
		{"the year 0", orderWith("at", `"0000-03-01T10:00:00Z"`), 400, "invalid-body", "/at"},
		{"the year 10000 in UTC", orderWith("at", `"9999-12-31T23:59:59-01:00"`), 400, "invalid-body", "/at"},
		{"a number for a time", orderWith("at", `1700000000`), 400, "invalid-body", "/at"},
		{"2 MB", orderWith("country", `"`+strings.Repeat("a", 2<<20)+`"`), 413, "body-too-large", ""},
	} {
		for _, path := range []string{"/v1/orders", "/v1/returns"} {
			p := s.do("POST", path, c.body).wantProblem(t, c.status, c.code)
			if c.pointer != "" && (len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer) {
				t.Errorf("%s: %s: errors = %+v, want one at %s", path, c.name, p.Errors, c.pointer)
			}
			if c.status != 413 {
				s.do("POST", path, c.body, "Idempotency-Key: "+uuid.NewString()).wantProblem(t, c.status, c.code)
			}
		}
	}
	s.wantEmptyLog()
}

// wantEmptyLog checks that no event was written.
func (s *server) wantEmptyLog() {
	s.Helper()
	head, err := s.store.Head(s.Context())
	if err != nil || head.Position != 0 {
		s.Errorf("the log reaches %d, %v; want 0", head.Position, err)
	}
}

func TestBadCommands(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/v1/orders/1/cancel", ``, 400, "malformed-json"},
		{"/v1/orders/1/cancel", `{}`, 400, "invalid-body"},
		{"/v1/orders/1/cancel", `{"reason":" "}`, 422, "invalid-input"},
		{"/v1/orders/1/confirm", `{"reason":"x"}`, 400, "invalid-body"},
		{"/v1/orders/1/confirm?dry=1", ``, 400, "invalid-parameter"},
		{"/v1/orders/1/return", ``, 404, "route-not-found"},
		{"/v1/orders//confirm", ``, 404, "route-not-found"},
		{"/v1/orders/a/b/confirm", ``, 404, "route-not-found"},
		{"/v1/orders/a%2Fb/confirm", ``, 404, "order-not-found"},
		{"/v1/orders/%00/confirm", ``, 400, "invalid-path"},
		{"/v1/orders/%ff/confirm", ``, 400, "invalid-path"},
		{"/v1/orders/" + strings.Repeat("i", 510) + "/confirm", ``, 404, "order-not-found"},
		{"/v1/orders/" + strings.Repeat("i", 5000) + "/confirm", ``, 400, "invalid-path"},
		{"/v1/stock/MUG/receive", `{}`, 400, "invalid-body"},
		{"/v1/stock/MUG/receive", `{"quantity":1,"order_id":"1"}`, 400, "invalid-body"},
		{"/v1/stock/MUG/receive", `{"quantity":-1}`, 422, "invalid-input"},
		{"/v1/stock/MUG/receive", `{"quantity":1000000001}`, 422, "invalid-input"},
		{"/v1/stock/MUG/adjust", `{"delta":0,"reason":"x"}`, 422, "invalid-input"},
		{"/v1/stock/MUG/adjust", `{"delta":1}`, 400, "invalid-body"},
		{"/v1/stock/MUG/adjust", `{"delta":-1,"reason":"lost"}`, 409, "stock-insufficient"},
		{"/v1/stock/MUG/reserve", `{"quantity":1}`, 400, "invalid-body"},
		{"/v1/stock/MUG/reserve", `{"order_id":"a/b","quantity":1}`, 422, "invalid-input"},
		{"/v1/stock/MUG/reserve", `{"order_id":"1","quantity":1}`, 409, "stock-insufficient"},
		{"/v1/stock/a%2Fb/receive", `{"quantity":1}`, 422, "invalid-input"},
		{"/v1/stock/%20MUG/receive", `{"quantity":1}`, 422, "invalid-input"},
		{"/v1/stock/" + strings.Repeat("s", 512) + "/receive", `{"quantity":1}`, 422, "invalid-input"},
		{"/v1/stock/%EF%BF%BD/receive", `{"quantity":1}`, 422, "invalid-input"},
		{"/v1/stock/%01/receive", `{"quantity":1}`, 400, "invalid-path"},
		{"/v1/stock//receive", `{"quantity":1}`, 404, "route-not-found"},
	} {
		for _, headers := range [][]string{nil, {"Idempotency-Key: " + uuid.NewString()}} {
			s.do("POST", c.path, c.body, headers...).wantProblem(t, c.status, c.code)
		}
	}
	for header, code := range map[string]string{
		"Idempotency-Key: ":                            "invalid-idempotency-key",
		"Idempotency-Key: \"open":                      "invalid-idempotency-key",
		"Idempotency-Key: " + strings.Repeat("k", 256): "invalid-idempotency-key",
		"If-Match: 0":                                  "invalid-header",
		"If-Match: W/\"0\"":                            "invalid-header",
		"If-Match: \"0\", \"1\"":                       "invalid-header",
		"If-Match: \"-1\"":                             "invalid-header",
		"If-Match: \"99999999999999999999\"":           "invalid-header",
		"If-None-Match: \"0\"":                         "invalid-header",
		"Content-Type: text/plain":                     "unsupported-media-type",
		"Content-Encoding: gzip":                       "unsupported-media-type",
	} {
		p := s.do("POST", "/v1/orders", small("1"), header).problem(t)
		if p.Code != code {
			t.Errorf("with %.40s: %s, want %s", header, p.Code, code)
		}
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		a := s.do(method, "/v1/orders/1", "")
		a.wantProblem(t, 405, "method-not-allowed")
		if a.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: Allow %q", a.request, a.header.Get("Allow"))
		}
	}
	s.wantEmptyLog()
}

func TestBadReads(t *testing.T) {
	t.Parallel()
	s := start(t)
	head, err := s.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, ahead := head, head
	other.Log = uuid.New()
	ahead.Position = 1000
	made := url.QueryEscape("bm90IGEgY3Vyc29y")
	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{"/v1/orders/unknown", 404, "not-found"},
		{"/v1/orders/a%2Fb", 404, "not-found"},
		{"/v1/orders/%00", 400, "invalid-path"},
		{"/v1/stock/unknown", 404, "not-found"},
		{"/v1/customers/unknown", 404, "not-found"},
		{"/v1/customers/unknown?after=" + made, 400, "invalid-cursor"},
		{"/v1/orders?after=" + made, 400, "invalid-cursor"},
		{"/v1/orders?after=%00", 400, "invalid-parameter"},
		{"/v1/orders?after=" + strings.Repeat("a", 4097), 400, "invalid-parameter"},
		{"/v1/orders?limit=0", 400, "invalid-parameter"},
		{"/v1/orders?limit=101", 400, "invalid-parameter"},
		{"/v1/orders?limit=1e1", 400, "invalid-parameter"},
		{"/v1/orders?limit=99999999999999999999", 400, "invalid-parameter"},
		{"/v1/orders?limit=1&limit=2", 400, "invalid-parameter"},
		{"/v1/orders?costumer=1", 400, "invalid-parameter"},
		{"/v1/orders?status=lost", 400, "invalid-parameter"},
		{"/v1/orders?day=2026-02-30", 400, "invalid-parameter"},
		{"/v1/orders?day=today", 400, "invalid-parameter"},
		{"/v1/orders?day=0001-01-01", 400, "invalid-parameter"}, // the zero time is no filter
		{"/v1/orders?country=%ff", 400, "invalid-parameter"},
		{"/v1/orders?customer=%00", 400, "invalid-parameter"},
		{"/v1/orders?%", 400, "invalid-parameter"},
		{"/v1/sales?by=month", 400, "invalid-parameter"},
		{"/v1/sales?by=day&sort=sku", 400, "invalid-parameter"},
		{"/v1/sales?by=sku&sort=--units", 400, "invalid-parameter"},
		{"/v1/sales?by=sku&sort=units;DROP", 400, "invalid-parameter"},
		{"/v1/sales?from=2026-03-02&to=2026-03-01", 400, "invalid-parameter"},
		{"/v1/sales?limit=10001", 400, "invalid-parameter"},
		{"/v1/sales?after=" + made, 400, "invalid-cursor"},
		{"/v1/projections?name=orders", 400, "invalid-parameter"},
		{"/v1/orders/1?consistency=made-up", 400, "invalid-token"},
		{"/v1/orders/1?consistency=" + other.String(), 409, "log-changed"},
		{"/v1/orders/1?consistency=" + ahead.String(), 409, "log-changed"},
		{"/v1/sales?consistency=" + other.String(), 409, "log-changed"},
		{"/v1/customers/1?consistency=" + ahead.String(), 409, "log-changed"},
		{"/v1/nothing", 404, "route-not-found"},
	} {
		s.do("GET", c.path, "", "Prefer: wait=0").wantProblem(t, c.status, c.code)
	}
}

// A cursor leads on in the list it came from, and in no other.
func TestCursorsOfOtherLists(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i := range 3 {
		s.post("/v1/orders", small(fmt.Sprint(i)))
		s.post("/v1/returns", orderJSON(fmt.Sprint(i), "c-1", "EIRE", "GBP", day, lineJSON("CUP", 1, 1)))
	}
	lists := []string{
		"/v1/orders?limit=1", "/v1/orders?limit=1&country=EIRE", "/v1/orders?limit=1&customer=c-1",
		"/v1/customers/c-1?limit=1",
		"/v1/sales?limit=1&by=sku", "/v1/sales?limit=1&by=day", "/v1/sales?limit=1&by=sku&sort=-units",
	}
	next := make([]string, len(lists))
	for i, list := range lists {
		var page struct{ Next string }
		s.get(list, &page, s.head())
		if next[i] = page.Next; next[i] == "" {
			t.Fatalf("%s has no next page", list)
		}
	}
	for i, list := range lists {
		for j := range lists {
			a := s.do("GET", list+"&after="+url.QueryEscape(next[j]), "")
			if i == j && a.status != 200 {
				t.Errorf("%s with its own cursor = %d %s", list, a.status, a.body)
			}
			if i != j {
				a.wantProblem(t, 400, "invalid-cursor")
			}
		}
	}
}
