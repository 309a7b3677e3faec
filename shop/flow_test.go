package shop_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/analytics"
)

// TestMinutesAreCounted: by the subscription that flow.json has, an order that comes late too; one in a minute that is not over is none yet.
func TestMinutesAreCounted(t *testing.T) {
	t.Parallel()
	a, err := shop.WithFlow(shop.App())
	if err != nil {
		t.Fatal(err)
	}
	x := apptest.New(t, a)
	count := func() []analytics.Minute {
		t.Helper()
		all := a.Subscriptions()
		i := slices.IndexFunc(all, func(s delivery.Subscription) bool { return s.Name == "analytics-minutes" })
		if _, err := all[i].Rehearse(t.Context(), x.Service.Commands.Codec(), x.Service.Log, 1, delivery.Attempts{}); err != nil {
			t.Fatal(err)
		}
		answer := x.Request(http.MethodGet, "/v1/analytics/minutes?from=2020-01-02T03:00:00Z&to=2020-01-02T03:05:00Z", "")
		var page httpapi.Page[analytics.Minute]
		if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil || answer.Code != http.StatusOK {
			t.Fatalf("%d %s, %v", answer.Code, answer.Body, err)
		}
		return page.Items
	}
	place := func(id, customer, currency, at string) {
		t.Helper()
		if answer := x.Request(http.MethodPost, "/v1/orders", orderJSON(id, customer, "Norway", currency, at, lineJSON("TEA-1", 2, 450))); answer.Code != http.StatusCreated {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
	place("1", "ann", "NOK", "2020-01-02T03:01:05Z")
	place("2", "ann", "NOK", "2020-01-02T03:01:59Z")
	place("3", "bob", "EUR", "2020-01-02T03:01:30Z")
	place("4", "bob", "NOK", "2020-01-02T03:03:30Z")
	minute := time.Date(2020, 1, 2, 3, 1, 0, 0, time.UTC)
	want := []analytics.Minute{{Minute: minute, Currency: "EUR", Orders: 1, RevenueMinor: 900, Customers: 1},
		{Minute: minute, Currency: "NOK", Orders: 2, RevenueMinor: 1800, Customers: 1}}
	if got := count(); !slices.Equal(got, want) {
		t.Errorf("counted is %+v, want %+v", got, want)
	}
	place("5", "bob", "NOK", "2020-01-02T03:01:00Z")
	want[1] = analytics.Minute{Minute: minute, Currency: "NOK", Orders: 3, RevenueMinor: 2700, Customers: 2, Revision: 1}
	if got := count(); !slices.Equal(got, want) {
		t.Errorf("with one that is late counted is %+v, want %+v", got, want)
	}
}
