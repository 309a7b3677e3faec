package shop

import (
	"cmp"
	"iter"
	"math"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/projections"
)

// sales are sums over orders and returns of one currency.
type sales struct {
	// Orders and Units count what was placed and not cancelled.
	Orders int64 `json:"orders"`
	Units  int64 `json:"units"`
	// GrossMinor is what those orders amount to.
	GrossMinor int64 `json:"gross_minor"`
	// RefundsMinor is what was given back.
	RefundsMinor int64 `json:"refunds_minor"`
	// NetMinor is GrossMinor less RefundsMinor, below zero where more was given
	// back than sold.
	NetMinor int64 `json:"net_minor"`
}

// add adds other to s. If a sum leaves the bounds of package money it returns
// money.ErrOverflow, and s is of no use any more.
func (s *sales) add(other sales) error {
	return cmp.Or(
		addTo(&s.Orders, other.Orders),
		addTo(&s.Units, other.Units),
		addTo(&s.GrossMinor, other.GrossMinor),
		addTo(&s.RefundsMinor, other.RefundsMinor),
		addTo(&s.NetMinor, other.NetMinor),
	)
}

func addTo(sum *int64, n int64) (err error) {
	*sum, err = money.Add(*sum, n)
	return err
}

// The keys of sales. Day is a day in UTC as 2006-01-02, so text order is the
// order of time.
type (
	countryDay struct{ Day, Country, Currency string }
	skuDay     struct{ Day, SKU, Currency string }
)

// salesByCountry has the sales of each day to each country.
var salesByCountry = newSales("sales_by_country", booking.perCountry)

// salesBySKU has the sales of each day of each article. An order counts once for
// each article in it, so its orders do not add up to those of the day.
var salesBySKU = newSales("sales_by_sku", booking.perSKU)

func newSales[K comparable](name string, per func(booking) iter.Seq2[K, sales]) *projections.Fold[K, sales] {
	f := projections.NewFold[K, sales](projections.Table{Name: name, Version: 1})
	add := func(s *sales, part sales, _ projections.Recorded) error { return s.add(part) }
	projections.UpsertEach(f, func(e order.Placed, _ projections.Recorded) iter.Seq2[K, sales] { return per(bookPlaced(e)) }, add)
	projections.UpsertEach(f, func(e order.Cancelled, _ projections.Recorded) iter.Seq2[K, sales] { return per(bookCancelled(e)) }, add)
	projections.UpsertEach(f, func(e returns.Returned, _ projections.Recorded) iter.Seq2[K, sales] { return per(bookReturned(e)) }, add)
	return f
}

// booking is what one event does to the sales of a day.
type booking struct {
	day, country, currency string
	lines                  []goods.Line
	totalMinor             int64
	// count says what units and an amount of the lines are to the sales.
	count func(units, amountMinor int64) sales
}

func bookPlaced(e order.Placed) booking {
	return booking{day(e.At), e.Country, e.Currency, e.Lines, e.TotalMinor, sold}
}

// bookCancelled takes out of the day what bookPlaced has put there.
func bookCancelled(e order.Cancelled) booking {
	return booking{e.PlacedDay, e.Country, e.Currency, e.Lines, e.TotalMinor, unsold}
}

func bookReturned(e returns.Returned) booking {
	return booking{day(e.At), e.Country, e.Currency, e.Lines, e.TotalMinor, refunded}
}

func sold(units, amount int64) sales {
	return sales{Orders: 1, Units: units, GrossMinor: amount, NetMinor: amount}
}

func unsold(units, amount int64) sales {
	return sales{Orders: -1, Units: -units, GrossMinor: -amount, NetMinor: -amount}
}

func refunded(_, amount int64) sales {
	return sales{RefundsMinor: amount, NetMinor: -amount}
}

func (b booking) perCountry() iter.Seq2[countryDay, sales] {
	return func(yield func(countryDay, sales) bool) {
		var units int64
		for _, sum := range goods.PerSKU(b.lines) {
			units = orRefused(money.Add(units, sum.Quantity))
		}
		yield(countryDay{b.day, b.country, b.currency}, b.count(units, b.totalMinor))
	}
}

// orRefused returns a number that sales.add refuses in the place of one that
// is out of bounds, as goods.PerSKU does.
func orRefused(n int64, err error) int64 {
	if err != nil {
		return math.MaxInt64
	}
	return n
}

func (b booking) perSKU() iter.Seq2[skuDay, sales] {
	return func(yield func(skuDay, sales) bool) {
		for sku, sum := range goods.PerSKU(b.lines) {
			if !yield(skuDay{b.day, sku, b.currency}, b.count(sum.Quantity, sum.AmountMinor)) {
				return
			}
		}
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
