package shop_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// sale is a row of sales as a client sees it.
type sale struct {
	Day, Country, SKU, Currency string
	Orders, Units               int64
	Gross                       int64 `json:"gross_minor"`
	Refunds                     int64 `json:"refunds_minor"`
	Net                         int64 `json:"net_minor"`
}

func (s sale) label() string { return cmp.Or(s.Day, s.Country, s.SKU) }

// trade is one order or return of a made-up business.
type trade struct {
	isReturn, cancelled    bool
	day, country, currency string
	lines                  []tradedLine
}

type tradedLine struct {
	sku             string
	quantity, price int64
}

// doBusiness makes up trades, the same ones every time, and carries them out.
func doBusiness(s *server) (trades []trade) {
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for i := range 60 {
		at := time.Date(2026, 2, 26, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(6*24*60)) * time.Minute)
		tr := trade{
			isReturn: r.IntN(4) == 0, day: at.Format("2006-01-02"),
			country: pick("EIRE", "France", "Channel Islands"), currency: pick("EUR", "EUR", "GBP"),
		}
		var lines []string
		for range 1 + r.IntN(4) {
			l := tradedLine{pick("MUG", "mug", "TEA TOWEL", "é"), 1 + r.Int64N(9), r.Int64N(500)}
			tr.lines = append(tr.lines, l)
			lines = append(lines, lineJSON(l.sku, l.quantity, l.price))
		}
		id := fmt.Sprint(i)
		zone := time.FixedZone("", (r.IntN(25)-12)*3600)
		body := orderJSON(id, pick("", "c-1", "c-2"), tr.country, tr.currency, at.In(zone).Format(time.RFC3339), lines...)
		if tr.isReturn {
			s.post("/v1/returns", body)
		} else {
			s.post("/v1/orders", body)
			if tr.cancelled = r.IntN(4) == 0; tr.cancelled {
				s.post("/v1/orders/"+id+"/cancel", `{"reason":"x","at":"2026-04-01T00:00:00Z"}`)
			}
		}
		trades = append(trades, tr)
	}
	return trades
}

// sum adds trades up by what label says of each line.
func sum(trades []trade, from, to string, label func(trade, tradedLine) sale) map[sale]sale {
	sums := make(map[sale]sale)
	for _, tr := range trades {
		if tr.day < from || tr.day > to {
			continue
		}
		counted := make(map[sale]bool)
		for _, l := range tr.lines {
			key := label(tr, l)
			key.Currency = tr.currency
			row := sums[key]
			amount := l.quantity * l.price
			switch {
			case tr.isReturn:
				row.Refunds += amount
				row.Net -= amount
			case !tr.cancelled:
				row.Units += l.quantity
				row.Gross += amount
				row.Net += amount
				if !counted[key] {
					row.Orders++
					counted[key] = true
				}
			}
			sums[key] = row
		}
	}
	return sums
}

// The sales that are read are those that were made, however they are summed,
// limited, ordered and paged.
func TestSales(t *testing.T) {
	t.Parallel()
	s := start(t)
	trades := doBusiness(s)
	labels := map[string]func(trade, tradedLine) sale{
		"day":     func(tr trade, _ tradedLine) sale { return sale{Day: tr.day} },
		"country": func(tr trade, _ tradedLine) sale { return sale{Country: tr.country} },
		"sku":     func(_ trade, l tradedLine) sale { return sale{SKU: l.sku} },
	}
	measures := map[string]func(sale) int64{
		"orders":        func(s sale) int64 { return s.Orders },
		"units":         func(s sale) int64 { return s.Units },
		"gross_minor":   func(s sale) int64 { return s.Gross },
		"refunds_minor": func(s sale) int64 { return s.Refunds },
		"net_minor":     func(s sale) int64 { return s.Net },
	}
	ranges := map[string][2]string{
		"": {"", "9"}, "&from=2026-02-27": {"2026-02-27", "9"}, "&to=2026-03-01": {"", "2026-03-01"},
		"&from=2026-02-28&to=2026-02-28": {"2026-02-28", "2026-02-28"}, "&from=2027-01-01": {"2027", "9"},
	}
	for by, label := range labels {
		for query, days := range ranges {
			path := "/v1/sales?by=" + by + query
			expectSums(t, path, pages[sale](s, path), sum(trades, days[0], days[1], label))
		}
		measures[by] = nil
		want := sum(trades, "", "9", label)
		for sort, measure := range measures {
			for _, sign := range []string{"", "-"} {
				path := "/v1/sales?limit=3&by=" + by + "&sort=" + sign + sort
				got := pages[sale](s, path)
				expectSums(t, path, got, want)
				if !slices.IsSortedFunc(got, salesOrder(sign == "-", measure)) {
					t.Errorf("%s is not sorted: %v", path, got)
				}
			}
		}
		delete(measures, by)
	}
	for query, like := range map[string]string{"": "?by=day&sort=day", "?by=country": "?by=country&sort=country", "?by=sku": "?by=sku&sort=sku"} {
		a, b := s.do("GET", "/v1/sales"+query, ""), s.do("GET", "/v1/sales"+like, "")
		if a.status != 200 || a.body != b.body {
			t.Errorf("%s = %d %s, want as %s", a.request, a.status, a.body, b.body)
		}
	}
}

func salesOrder(descending bool, measure func(sale) int64) func(a, b sale) int {
	return func(a, b sale) int {
		if descending {
			a, b = b, a
		}
		byLabel := cmp.Or(cmp.Compare(a.label(), b.label()), cmp.Compare(a.Currency, b.Currency))
		if measure == nil {
			return byLabel
		}
		return cmp.Or(cmp.Compare(measure(a), measure(b)), byLabel)
	}
}

func expectSums(t *testing.T, path string, got []sale, want map[sale]sale) {
	t.Helper()
	seen := make(map[sale]bool)
	for _, row := range got {
		key := sale{Day: row.Day, Country: row.Country, SKU: row.SKU, Currency: row.Currency}
		expected := want[key]
		expected.Day, expected.Country, expected.SKU, expected.Currency = key.Day, key.Country, key.SKU, key.Currency
		if row != expected || seen[key] {
			t.Errorf("%s: %+v, want %+v once", path, row, expected)
		}
		seen[key] = true
	}
	if len(got) != len(want) {
		t.Errorf("%s has %d rows, want %d", path, len(got), len(want))
	}
}

// The names and their order are a promise.
func TestRowsOfSalesAsJSON(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", small("1"))
	s.post("/v1/returns", small("1"))
	for by, label := range map[string]string{"day": `"day":"2026-03-01"`, "country": `"country":"EIRE"`, "sku": `"sku":"MUG"`} {
		a := s.do("GET", "/v1/sales?by="+by, "", s.head(), "Prefer: wait=9")
		want := `{"items":[{` + label + `,"currency":"EUR","orders":1,"units":1,"gross_minor":250,"refunds_minor":250,"net_minor":0}],"next":null}` + "\n"
		if a.body != want {
			t.Errorf("%s = %s, want %s", a.request, a.body, want)
		}
	}
	for _, path := range []string{
		"/v1/sales?from=2030-01-01", "/v1/sales?to=0001-01-02",
		"/v1/orders?customer=nobody", "/v1/orders?day=9999-12-31", "/v1/orders?day=0001-01-02",
	} {
		if a := s.do("GET", path, ""); a.body != `{"items":[],"next":null}`+"\n" {
			t.Errorf("%s = %s, want an empty list", a.request, a.body)
		}
	}
}

func TestACustomerAndTheirHistory(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", orderJSON("1", "c-1", "EIRE", "EUR", "2026-03-01T10:00:00Z", lineJSON("MUG", 2, 250)))
	s.post("/v1/orders", orderJSON("2", "c-1", "EIRE", "GBP", "2026-03-02T10:00:00Z", lineJSON("MUG", 1, 100)))
	s.post("/v1/orders", orderJSON("3", "c-1", "France", "EUR", "2026-03-03T10:00:00Z", lineJSON("MUG", 1, 90)))
	s.post("/v1/orders", orderJSON("4", "", "EIRE", "EUR", "2026-03-03T10:00:00Z", lineJSON("MUG", 1, 1)))
	s.post("/v1/returns", orderJSON("1", "c-1", "EIRE", "EUR", "2026-03-04T10:00:00Z", lineJSON("MUG", 1, 250)))
	s.post("/v1/returns", orderJSON("2", "", "EIRE", "EUR", "2026-03-04T10:00:00Z", lineJSON("MUG", 1, 1)))
	for _, do := range []string{"1/confirm", "1/ship", "1/complete"} {
		s.post("/v1/orders/"+do, "")
	}
	s.post("/v1/orders/3/cancel", `{"reason":"x"}`)
	s.post("/v1/orders/4/confirm", "")

	a := s.do("GET", "/v1/customers/c-1", "", s.head(), "Prefer: wait=9")
	want := `{"customer_id":"c-1","totals":[` +
		`{"currency":"EUR","orders":1,"cancelled":1,"returns":1,"gross_minor":500,"refunds_minor":250,"net_minor":250},` +
		`{"currency":"GBP","orders":1,"cancelled":0,"returns":0,"gross_minor":100,"refunds_minor":0,"net_minor":100}],"items":[` +
		`{"kind":"return","id":"1","at":"2026-03-04T10:00:00Z","country":"EIRE","currency":"EUR","status":"returned","total_minor":250},` +
		`{"kind":"order","id":"3","at":"2026-03-03T10:00:00Z","country":"France","currency":"EUR","status":"cancelled","total_minor":90},` +
		`{"kind":"order","id":"2","at":"2026-03-02T10:00:00Z","country":"EIRE","currency":"GBP","status":"placed","total_minor":100},` +
		`{"kind":"order","id":"1","at":"2026-03-01T10:00:00Z","country":"EIRE","currency":"EUR","status":"completed","total_minor":500}],"next":null}` + "\n"
	if a.body != want {
		t.Errorf("%s = %s, want %s", a.request, a.body, want)
	}
	a = s.do("GET", "/v1/customers/c-1?limit=3", "")
	if !strings.Contains(a.header.Get("Link"), `rel="next"`) {
		t.Errorf("%s has Link %q", a.request, a.header.Get("Link"))
	}
	entries := pages[struct{ Kind, ID string }](s, "/v1/customers/c-1?limit=1")
	if fmt.Sprint(entries) != "[{return 1} {order 3} {order 2} {order 1}]" {
		t.Errorf("the history, entry by entry: %v", entries)
	}
	var log int
	if err := s.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM recount.customer_history").Scan(&log); err != nil || log != 4 {
		t.Errorf("the history has %d rows, %v; want 4: guests have none", log, err)
	}
}

func TestProjectionsAreListed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", small("1"))
	s.get("/v1/sales?by=sku", new(any), s.head())
	a := s.do("GET", "/v1/projections", "")
	var page struct {
		Items []struct {
			Projection, State string
			Position          *int64
			LagEvents         *int64   `json:"lag_events"`
			LagSeconds        *float64 `json:"lag_seconds"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatalf("%s = %s: %v", a.request, a.body, err)
	}
	var names []string
	for _, p := range page.Items {
		names = append(names, p.Projection)
		if p.State == "" || p.Position == nil || p.LagEvents == nil || p.LagSeconds == nil {
			t.Errorf("projection %+v lacks something: %s", p, a.body)
		}
	}
	if want := "customer_history orders sales_by_country sales_by_sku snapshots_stock stock_levels"; strings.Join(names, " ") != want {
		t.Errorf("projections are %v, want %s", names, want)
	}
}
