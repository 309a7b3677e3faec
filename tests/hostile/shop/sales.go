package shop

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// sale is a row of sales; which of the labels is set depends on the list.
type sale struct {
	Day          string `json:"day,omitempty"`
	Country      string `json:"country,omitempty"`
	SKU          string `json:"sku,omitempty"`
	Currency     string `json:"currency"`
	Orders       int64  `json:"orders"`
	Units        int64  `json:"units"`
	GrossMinor   int64  `json:"gross_minor"`
	RefundsMinor int64  `json:"refunds_minor"`
	NetMinor     int64  `json:"net_minor"`
}

var measures = map[string]func(sale) int64{
	"orders":        func(s sale) int64 { return s.Orders },
	"units":         func(s sale) int64 { return s.Units },
	"gross_minor":   func(s sale) int64 { return s.GrossMinor },
	"refunds_minor": func(s sale) int64 { return s.RefundsMinor },
	"net_minor":     func(s sale) int64 { return s.NetMinor },
}

// groupings are the columns that sales can be listed by.
var groupings = []string{"day", "country", "sku"}

func (w *world) listSales() (wire.Call, bool) { return w.listSalesBy(pick(w, groupings)), true }

// listSalesBy lists the sales of the world's days, on which nobody else sells.
func (w *world) listSalesBy(by string) wire.Call {
	from := w.day.AddDate(0, 0, w.Rng.IntN(worldDays)).Format("2006-01-02")
	to := w.day.AddDate(0, 0, worldDays-1).Format("2006-01-02")
	rows := w.sales(by, from, to)
	query := url.Values{"by": {by}, "from": {from}, "to": {to}}
	label := func(s sale) string { return s.Day + s.Country + s.SKU }
	order := func(a, b sale) int { return strings.Compare(label(a), label(b)) }
	if w.Chance(2) {
		name := pick(w, slices.Sorted(maps.Keys(measures)))
		query.Set("sort", name)
		order = func(a, b sale) int {
			return cmp.Or(cmp.Compare(measures[name](a), measures[name](b)), strings.Compare(label(a), label(b)))
		}
		if w.Chance(2) {
			query.Set("sort", "-"+name)
			ascending := order
			order = func(a, b sale) int { return ascending(b, a) }
		}
	}
	slices.SortFunc(rows, order)
	l := &list{route: "/v1/sales", path: "/v1/sales", query: query, limit: 1 + w.Rng.IntN(10)}
	for _, row := range rows {
		l.items = append(l.items, row)
	}
	return w.pageFrom(l, "")
}

// sales adds up what the world has sold. Rows that came to nothing stay.
func (w *world) sales(by, from, to string) []sale {
	sums := make(map[string]sale)
	add := func(o *order, sign func(units, amount int64) sale) {
		day := o.PlacedAt.Format("2006-01-02")
		if day < from || day > to {
			return
		}
		for key, part := range o.parts(by, day) {
			s, more := sums[key], sign(part.Units, part.GrossMinor)
			s.Day, s.Country, s.SKU, s.Currency = part.Day, part.Country, part.SKU, o.Currency
			s.Orders += more.Orders
			s.Units += more.Units
			s.GrossMinor += more.GrossMinor
			s.RefundsMinor += more.RefundsMinor
			s.NetMinor += more.GrossMinor - more.RefundsMinor
			sums[key] = s
		}
	}
	for _, o := range w.orders {
		if o.Status == "cancelled" {
			add(o, func(int64, int64) sale { return sale{} })
			continue
		}
		add(o, func(units, amount int64) sale { return sale{Orders: 1, Units: units, GrossMinor: amount} })
	}
	for _, o := range w.returns {
		add(o, func(_, amount int64) sale { return sale{RefundsMinor: amount} })
	}
	return slices.Collect(maps.Values(sums))
}

// parts divides an order into the rows that it is in, by their label.
func (o *order) parts(by, day string) map[string]sale {
	parts := make(map[string]sale)
	for _, l := range o.Lines {
		key := map[string]string{"day": day, "country": o.Country, "sku": l.SKU}[by]
		p := parts[key]
		switch by {
		case "day":
			p.Day = day
		case "country":
			p.Country = o.Country
		default:
			p.SKU = l.SKU
		}
		p.Units += l.Quantity
		p.GrossMinor += l.Quantity * l.UnitPriceMinor
		parts[key] = p
	}
	return parts
}
