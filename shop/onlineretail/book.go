package onlineretail

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Kind is what an invoice is about.
type Kind int

// The kinds of invoices.
const (
	// Order is goods sold.
	Order Kind = iota + 1
	// Adjustment is goods that were damaged or lost.
	Adjustment
	// Return is goods or a discount given back.
	Return
)

// Invoice is all lines of the file that have one invoice number and are of one
// kind. Where lines disagree on the date, the customer or the country, it has
// what the first one says.
type Invoice struct {
	Kind Kind
	// Number is of digits; that of a Return begins with C.
	Number string
	// At is in UTC.
	At time.Time
	// CustomerID is nil for a guest.
	CustomerID *string
	Country    string
	// Lines are in the order of the file, at least one. Quantities are positive
	// whatever the kind; prices are in pence, and 0 in an Adjustment. An article
	// may stand in several lines.
	Lines []goods.Line
	// FileLine is the line of the file that the invoice begins at, from 1.
	FileLine int
}

// amountMinor is exact: Read refuses sums beyond the bounds of package money.
func (v *Invoice) amountMinor() (sum int64) {
	for _, l := range v.Lines {
		sum += l.Quantity * l.UnitPriceMinor
	}
	return sum
}

func (v *Invoice) units() (sum int64) {
	for _, l := range v.Lines {
		sum += l.Quantity
	}
	return sum
}

// Book is a file that was read.
type Book struct {
	// Invoices are in the order in which the file first has them.
	Invoices []Invoice
}

// Totals count and add up invoices. Amounts are in pence.
type Totals struct {
	Orders, OrderLines int
	// Units is what was ordered.
	Units      int64
	GrossMinor int64

	Returns, ReturnLines int
	RefundsMinor         int64

	// Adjustments counts lines.
	Adjustments int
}

// NetMinor is the gross less the refunds.
func (t Totals) NetMinor() int64 { return t.GrossMinor - t.RefundsMinor }

func (t *Totals) add(v *Invoice) {
	switch v.Kind {
	case Order:
		t.Orders++
		t.OrderLines += len(v.Lines)
		t.Units += v.units()
		t.GrossMinor += v.amountMinor()
	case Return:
		t.Returns++
		t.ReturnLines += len(v.Lines)
		t.RefundsMinor += v.amountMinor()
	case Adjustment:
		t.Adjustments += len(v.Lines)
	}
}

// firstDay returns the beginning, in UTC, of the day of the earliest invoice.
func (b *Book) firstDay() time.Time {
	var first time.Time
	for i, v := range b.Invoices {
		if i == 0 || v.At.Before(first) {
			first = v.At
		}
	}
	return first.Truncate(24 * time.Hour)
}

// Totals returns those of the whole book.
func (b *Book) Totals() (t Totals) {
	for i := range b.Invoices {
		t.add(&b.Invoices[i])
	}
	return t
}

// Days returns the totals of every day in UTC that has invoices, by its date,
// e.g. 2010-12-01.
func (b *Book) Days() map[string]Totals {
	days := make(map[string]Totals)
	for i := range b.Invoices {
		v := &b.Invoices[i]
		day := v.At.Format(time.DateOnly)
		t := days[day]
		t.add(v)
		days[day] = t
	}
	return days
}
