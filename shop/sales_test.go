package shop

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
)

// salesBook is sales as the folds keep them, in memory.
type salesBook[K comparable] map[K]sales

func (l salesBook[K]) book(t interface{ Fatal(...any) }, parts iter.Seq2[K, sales]) {
	for key, part := range parts {
		row := l[key]
		if err := row.add(part); err != nil {
			t.Fatal(err)
		}
		l[key] = row
	}
}

// withoutZeros leaves out the days of which everything was cancelled.
func (l salesBook[K]) withoutZeros() salesBook[K] {
	l = maps.Clone(l)
	maps.DeleteFunc(l, func(_ K, s sales) bool { return s == sales{} })
	return l
}

// books are both folds of the sales.
type books struct {
	country salesBook[countryDay]
	sku     salesBook[skuDay]
}

func newBooks() books { return books{make(salesBook[countryDay]), make(salesBook[skuDay])} }

func (b books) book(t interface{ Fatal(...any) }, v any) {
	var entry booking
	switch e := v.(type) {
	case order.Placed:
		entry = bookPlaced(e)
	case order.Cancelled:
		entry = bookCancelled(e)
	case returns.Returned:
		entry = bookReturned(e)
	default:
		return
	}
	b.country.book(t, entry.perCountry())
	b.sku.book(t, entry.perSKU())
}

var firstDay = time.Date(2026, 2, 27, 0, 0, 0, 0, time.UTC)

// drawTime draws a time in a few days, in some time zone.
func drawTime(t *rapid.T) time.Time {
	zone := time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600)
	return firstDay.Add(time.Duration(rapid.IntRange(0, 4*24*60).Draw(t, "minute")) * time.Minute).In(zone)
}

func drawLines(t *rapid.T) []goods.Line {
	line := rapid.Custom(func(t *rapid.T) goods.Line {
		return goods.Line{
			SKU:            rapid.SampledFrom([]string{"MUG-1A", "MUG-1a", "TEA TOWEL", "é"}).Draw(t, "sku"),
			Quantity:       rapid.Int64Range(1, 50).Draw(t, "quantity"),
			UnitPriceMinor: rapid.Int64Range(0, 999).Draw(t, "price"),
		}
	})
	return rapid.SliceOfN(line, 1, 5).Draw(t, "lines")
}

var (
	countries  = rapid.SampledFrom([]string{"EIRE", "France"})
	currencies = rapid.SampledFrom([]string{"EUR", "GBP"})
)

// drawOrder draws what becomes of one order: its events, and whether it was
// cancelled.
func drawOrder(t *rapid.T) (p order.Place, events []order.Event, cancelled bool) {
	p = order.Place{ID: "1", Country: countries.Draw(t, "country"), Currency: currencies.Draw(t, "currency"), Lines: drawLines(t), At: drawTime(t)}
	var o order.Order
	do := func(c interface {
		Decide(order.Order) ([]order.Event, error)
	}) bool {
		decided, err := c.Decide(o)
		for _, e := range decided {
			o = e.Evolve(o)
		}
		events = append(events, decided...)
		return err == nil
	}
	do(p)
	if rapid.Bool().Draw(t, "confirm") {
		do(order.Confirm{At: drawTime(t)})
		if rapid.Bool().Draw(t, "ship") {
			do(order.Ship{At: drawTime(t)})
		}
	}
	if rapid.Bool().Draw(t, "cancel") {
		cancelled = do(order.Cancel{Reason: "made up", At: drawTime(t)})
	}
	return p, events, cancelled
}

// The folds, which see events one by one, say the same as a look at all orders
// and returns together.
func TestSalesAreTheSumsOfOrdersAndReturns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got, want := newBooks(), newBooks()
		for range rapid.IntRange(0, 8).Draw(t, "orders") {
			p, events, cancelled := drawOrder(t)
			for _, e := range events {
				got.book(t, e)
			}
			if !cancelled {
				want.sell(t, p.At, p.Country, p.Currency, p.Lines)
			}
		}
		for range rapid.IntRange(0, 4).Draw(t, "returns") {
			a := returns.Accept{ID: "1", Country: countries.Draw(t, "country"), Currency: currencies.Draw(t, "currency"), Lines: drawLines(t), At: drawTime(t)}
			events, err := a.Decide(returns.Return{})
			if err != nil {
				t.Fatal(err)
			}
			got.book(t, events[0])
			want.refund(a)
		}
		if g, w := got.country.withoutZeros(), want.country.withoutZeros(); !maps.Equal(g, w) {
			t.Errorf("sales by country = %v, want %v", g, w)
		}
		if g, w := got.sku.withoutZeros(), want.sku.withoutZeros(); !maps.Equal(g, w) {
			t.Errorf("sales by article = %v, want %v", g, w)
		}
	})
}

// sell counts an order line by line.
func (b books) sell(t *rapid.T, at time.Time, country, currency string, lines []goods.Line) {
	date := at.UTC().Format("2006-01-02")
	for i, l := range lines {
		amount := l.Quantity * l.UnitPriceMinor
		part := sales{Units: l.Quantity, GrossMinor: amount, NetMinor: amount}
		orders := part
		if i == 0 {
			orders.Orders = 1
		}
		b.country.book(t, seq(countryDay{date, country, currency}, orders))
		articles := part
		if slices.IndexFunc(lines, func(other goods.Line) bool { return other.SKU == l.SKU }) == i {
			articles.Orders = 1
		}
		b.sku.book(t, seq(skuDay{date, l.SKU, currency}, articles))
	}
}

func (b books) refund(a returns.Accept) {
	date := a.At.UTC().Format("2006-01-02")
	for _, l := range a.Lines {
		amount := l.Quantity * l.UnitPriceMinor
		byCountry, bySKU := countryDay{date, a.Country, a.Currency}, skuDay{date, l.SKU, a.Currency}
		row := b.country[byCountry]
		row.RefundsMinor, row.NetMinor = row.RefundsMinor+amount, row.NetMinor-amount
		b.country[byCountry] = row
		row = b.sku[bySKU]
		row.RefundsMinor, row.NetMinor = row.RefundsMinor+amount, row.NetMinor-amount
		b.sku[bySKU] = row
	}
}

func seq[K comparable](key K, part sales) iter.Seq2[K, sales] {
	return func(yield func(K, sales) bool) { yield(key, part) }
}

func TestACancelledOrderCountsNothing(t *testing.T) {
	lines := []goods.Line{{SKU: "MUG-1A", Quantity: 2, UnitPriceMinor: 240}, {SKU: "MUG-1A", Quantity: 1, UnitPriceMinor: 200}}
	at := time.Date(2026, 3, 1, 23, 30, 0, 0, time.FixedZone("", -3600))
	b := newBooks()
	b.book(t, order.Placed{Country: "EIRE", Currency: "EUR", Lines: lines, TotalMinor: 680, At: at})
	key := countryDay{"2026-03-02", "EIRE", "EUR"}
	if got, want := b.country[key], (sales{Orders: 1, Units: 3, GrossMinor: 680, NetMinor: 680}); got != want {
		t.Errorf("placed: %v = %+v, want %+v", key, got, want)
	}
	b.book(t, order.Cancelled{Country: "EIRE", Currency: "EUR", Lines: lines, TotalMinor: 680, PlacedDay: "2026-03-02", At: at.AddDate(0, 0, 9)})
	if len(b.country.withoutZeros()) != 0 || len(b.sku.withoutZeros()) != 0 {
		t.Errorf("cancelled: %v, %v, want nothing", b.country, b.sku)
	}
}

func TestSalesBeyondTheBoundsAreAnError(t *testing.T) {
	for _, part := range []sales{
		{Orders: money.Max}, {Units: money.Max}, {GrossMinor: money.Max}, {RefundsMinor: money.Max}, {NetMinor: -money.Max},
	} {
		s := part
		if err := s.add(part); !errors.Is(err, money.ErrOverflow) {
			t.Errorf("%+v twice: %v, want ErrOverflow", part, err)
		}
	}
}
