package shop_test

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// listed is what these tests look at in a list of orders.
type listed struct {
	ID         string
	CustomerID *string   `json:"customer_id"`
	Country    string    `json:"country"`
	Status     string    `json:"status"`
	PlacedAt   time.Time `json:"placed_at"`
}

// pages reads a list to its end, page by page, each as soon as it shows all that
// was written before.
func pages[T any](s *server, path string, between ...func()) (all []T) {
	s.Helper()
	for next := ""; ; {
		var page struct {
			Items []T
			Next  *string
		}
		at := path
		if next != "" {
			at += "&after=" + url.QueryEscape(next)
		}
		s.get(at, &page, s.head())
		all = append(all, page.Items...)
		if page.Next == nil {
			return all
		}
		next = *page.Next
		for _, f := range between {
			f()
		}
	}
}

// someOrders places orders that differ in everything the list can filter by, and
// returns them newest first. Many are equally old.
func someOrders(s *server) (all []listed) {
	for i := range 48 {
		o := listed{
			ID:       fmt.Sprintf("o-%02d", i),
			Country:  []string{"EIRE", "France", "Channel Islands"}[i%3],
			Status:   []string{"placed", "confirmed", "cancelled", "shipped"}[i/3%4],
			PlacedAt: time.Date(2026, 3, 1+i/4%3, 23*(i/2%2), 0, 0, 0, time.UTC),
		}
		customer := ""
		if i%5 > 0 {
			customer = fmt.Sprintf("c-%d", i%5)
			o.CustomerID = &customer
		}
		s.post("/v1/orders", orderJSON(o.ID, customer, o.Country, "EUR", o.PlacedAt.Format(time.RFC3339), lineJSON("MUG", 1, 1)))
		switch o.Status {
		case "shipped":
			s.post("/v1/orders/"+o.ID+"/confirm", "")
			s.post("/v1/orders/"+o.ID+"/ship", "")
		case "confirmed":
			s.post("/v1/orders/"+o.ID+"/confirm", "")
		case "cancelled":
			s.post("/v1/orders/"+o.ID+"/cancel", `{"reason":"x"}`)
		}
		all = append(all, o)
	}
	slices.SortFunc(all, newestFirst)
	return all
}

func newestFirst(a, b listed) int {
	return cmp.Or(b.PlacedAt.Compare(a.PlacedAt), cmp.Compare(b.ID, a.ID))
}

func ids(orders []listed) string {
	var b strings.Builder
	for _, o := range orders {
		b.WriteString(o.ID + " ")
	}
	return b.String()
}

func TestOrdersByEveryFilter(t *testing.T) {
	t.Parallel()
	s := start(t)
	all := someOrders(s)
	filters := []struct {
		query string
		keeps func(listed) bool
	}{
		{"&customer=c-2", func(o listed) bool { return o.CustomerID != nil && *o.CustomerID == "c-2" }},
		{"&status=cancelled", func(o listed) bool { return o.Status == "cancelled" }},
		{"&country=Channel%20Islands", func(o listed) bool { return o.Country == "Channel Islands" }},
		{"&day=2026-03-02", func(o listed) bool { return o.PlacedAt.Day() == 2 }},
	}
	for set := range 1 << len(filters) {
		path, want := "/v1/orders?limit=4", slices.Clone(all)
		for i, f := range filters {
			if set&(1<<i) != 0 {
				path += f.query
				want = slices.DeleteFunc(want, func(o listed) bool { return !f.keeps(o) })
			}
		}
		got := pages[listed](s, path)
		if ids(got) != ids(want) {
			t.Errorf("%s = %s, want %s", path, ids(got), ids(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i].Status != want[i].Status || got[i].Country != want[i].Country || !got[i].PlacedAt.Equal(want[i].PlacedAt) {
				t.Errorf("%s has %+v, want %+v", path, got[i], want[i])
			}
		}
	}
}

// What was there when paging began is seen once each, in order, whatever is
// placed meanwhile at the list's beginning, middle and end.
func TestPagingWhileOrdersComeIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := someOrders(s)
	placed := 0
	got := pages[listed](s, "/v1/orders?limit=5", func() {
		for range 8 {
			at := time.Date(2026, 2, 27+placed%8, placed%24, placed%60, 0, 0, time.UTC)
			if placed++; placed <= 80 { // a list that grows for ever has no end
				s.post("/v1/orders", orderJSON(fmt.Sprintf("new-%d", placed), "", "EIRE", "EUR", at.Format(time.RFC3339), lineJSON("MUG", 1, 1)))
			}
		}
	})
	sorted := slices.IsSortedFunc(got, newestFirst)
	old := slices.DeleteFunc(slices.Clone(got), func(o listed) bool { return strings.HasPrefix(o.ID, "new-") })
	if !sorted || ids(old) != ids(before) || len(got) == len(old) {
		t.Errorf("sorted: %v; of the orders that were there %s, want %s; of the new ones %d, want some",
			sorted, ids(old), ids(before), len(got)-len(old))
	}
}
