package shop

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// customerItem is an order or a return in the history of a customer.
type customerItem struct {
	Kind       string `json:"kind"`
	ID         string `json:"id"`
	At         string `json:"at"`
	Country    string `json:"country"`
	Currency   string `json:"currency"`
	Status     string `json:"status"`
	TotalMinor int64  `json:"total_minor"`

	of *order
}

// customerTotal is what a customer's orders and returns add up to.
type customerTotal struct {
	Currency     string `json:"currency"`
	Orders       int64  `json:"orders"`
	Cancelled    int64  `json:"cancelled"`
	Returns      int64  `json:"returns"`
	GrossMinor   int64  `json:"gross_minor"`
	RefundsMinor int64  `json:"refunds_minor"`
	NetMinor     int64  `json:"net_minor"`
}

func (w *world) readCustomer() (wire.Call, bool) { return w.readHistory(pick(w, w.customers)), true }

// readHistory reads what a customer has bought and given back, from the newest on.
func (w *world) readHistory(customer string) wire.Call {
	total := customerTotal{Currency: w.currency}
	var items []customerItem
	enter := func(kind string, o *order) {
		if o.CustomerID == nil || *o.CustomerID != customer {
			return
		}
		items = append(items, customerItem{kind, o.ID, jsonTime(o), o.Country, o.Currency, o.Status, o.TotalMinor, o})
		switch {
		case kind == "return":
			total.Returns++
			total.RefundsMinor += o.TotalMinor
		case o.Status == "cancelled":
			total.Cancelled++
		default:
			total.Orders++
			total.GrossMinor += o.TotalMinor
		}
	}
	for _, o := range w.orders {
		enter("order", o)
	}
	for _, o := range w.returns {
		enter("return", o)
	}
	total.NetMinor = total.GrossMinor - total.RefundsMinor
	path := "/v1/customers/" + url.PathEscape(customer)
	if len(items) == 0 {
		return w.read("/v1/customers/{id}", path, nil).Refused(404, "not-found")
	}
	slices.SortFunc(items, func(a, b customerItem) int {
		return cmp.Or(b.of.PlacedAt.Compare(a.of.PlacedAt), strings.Compare(b.Kind, a.Kind), strings.Compare(b.ID, a.ID))
	})
	l := &list{route: "/v1/customers/{id}", path: path, limit: 5 + w.Rng.IntN(96)}
	for _, item := range items {
		l.items = append(l.items, item)
	}
	l.rest = func(totals json.RawMessage) error { return wire.Same(totals, []customerTotal{total}) }
	return w.pageFrom(l, "")
}

// jsonTime returns the time of an order as JSON has it.
func jsonTime(o *order) string { return o.PlacedAt.Format(time.RFC3339Nano) }
