package order_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
)

var (
	at       = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	later    = at.Add(48 * time.Hour)
	customer = "c-7"

	lines = []goods.Line{
		{SKU: "MUG-1A", Description: "blue mug", Quantity: 6, UnitPriceMinor: 240},
		{SKU: "LAMP 2", Quantity: 2, UnitPriceMinor: 305},
	}
	place = order.Place{ID: "42", CustomerID: &customer, Country: "United Kingdom", Currency: "GBP", Lines: lines, At: at}

	placed    = order.Placed{ID: "42", CustomerID: &customer, Country: "United Kingdom", Currency: "GBP", Lines: lines, TotalMinor: 2050, At: at}
	confirmed = order.Confirmed{ID: "42", CustomerID: &customer, At: later}
	shipped   = order.Shipped{ID: "42", CustomerID: &customer, At: later}
	completed = order.Completed{ID: "42", CustomerID: &customer, At: later}
	cancelled = order.Cancelled{
		ID: "42", CustomerID: &customer, Country: "United Kingdom", Currency: "GBP", Lines: lines, TotalMinor: 2050,
		PlacedDay: "2026-03-01", Reason: "changed her mind", At: later,
	}
)

type command interface {
	Decide(order.Order) ([]order.Event, error)
}

func given(events ...order.Event) order.Order {
	var o order.Order
	for _, e := range events {
		o = e.Evolve(o)
	}
	return o
}

func TestWhatIsAllowed(t *testing.T) {
	tests := []struct {
		name  string
		given []order.Event
		when  command
		then  order.Event
	}{
		{"place a new order", nil, place, placed},
		{"confirm", []order.Event{placed}, order.Confirm{At: later}, confirmed},
		{"ship", []order.Event{placed, confirmed}, order.Ship{At: later}, shipped},
		{"complete", []order.Event{placed, confirmed, shipped}, order.Complete{At: later}, completed},
		{"cancel a placed one", []order.Event{placed}, order.Cancel{Reason: "changed her mind", At: later}, cancelled},
		{"cancel a confirmed one", []order.Event{placed, confirmed}, order.Cancel{Reason: "changed her mind", At: later}, cancelled},
		{
			"confirm before it was placed, by another clock",
			[]order.Event{placed},
			order.Confirm{At: at.Add(-time.Second)},
			order.Confirmed{ID: "42", CustomerID: &customer, At: at.Add(-time.Second)},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.when.Decide(given(test.given...))
			if want := []order.Event{test.then}; err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Decide = %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	confirm, ship, complete := order.Confirm{At: later}, order.Ship{At: later}, order.Complete{At: later}
	cancel := order.Cancel{Reason: "changed her mind", At: later}
	tests := []struct {
		given []order.Event
		when  command
		is    error
		text  string
	}{
		{[]order.Event{placed}, place, order.ErrAlreadyPlaced, "order was placed already: use another id for another order"},
		{[]order.Event{placed, cancelled}, place, order.ErrAlreadyPlaced, "order was placed already: use another id for another order"},
		{nil, confirm, order.ErrNotPlaced, "order was never placed: check the id, or place it first"},
		{nil, cancel, order.ErrNotPlaced, "order was never placed: check the id, or place it first"},
		{[]order.Event{placed, confirmed}, confirm, order.ErrTransition, "order 42 cannot be confirmed: it is confirmed already (it can only be confirmed when placed)"},
		{[]order.Event{placed}, ship, order.ErrTransition, "order 42 cannot be shipped: it is placed (it can only be shipped when confirmed)"},
		{[]order.Event{placed, cancelled}, ship, order.ErrTransition, "order 42 cannot be shipped: it is cancelled (it can only be shipped when confirmed)"},
		{[]order.Event{placed, confirmed}, complete, order.ErrTransition, "order 42 cannot be completed: it is confirmed (it can only be completed when shipped)"},
		{[]order.Event{placed, confirmed, shipped}, cancel, order.ErrTransition, "order 42 cannot be cancelled: it is shipped (it can only be cancelled when placed or confirmed)"},
		{[]order.Event{placed, cancelled}, cancel, order.ErrTransition, "order 42 cannot be cancelled: it is cancelled already (it can only be cancelled when placed or confirmed)"},
	}
	for _, test := range tests {
		events, err := test.when.Decide(given(test.given...))
		if events != nil || !errors.Is(err, test.is) || err.Error() != test.text {
			t.Errorf("%T after %d events = %v, %v, want %q", test.when, len(test.given), events, err, test.text)
		}
	}
}

func TestInputIsChecked(t *testing.T) {
	with := func(change func(*order.Place)) order.Place {
		p := place
		change(&p)
		return p
	}
	tests := []struct {
		when  command
		field string
	}{
		{with(func(p *order.Place) { p.ID = "4/2" }), "/id"},
		{with(func(p *order.Place) { p.CustomerID = new(string) }), "/customer_id"},
		{with(func(p *order.Place) { p.Country = "" }), "/country"},
		{with(func(p *order.Place) { p.Currency = "gbp" }), "/currency"},
		{with(func(p *order.Place) { p.Lines = nil }), "/lines"},
		{with(func(p *order.Place) { p.Lines = []goods.Line{lines[0], {SKU: "A"}} }), "/lines/1/quantity"},
		{with(func(p *order.Place) {
			p.Lines = []goods.Line{{SKU: "A", Quantity: 2, UnitPriceMinor: goods.MaxTotalMinor}}
		}), "/lines/0"},
		{with(func(p *order.Place) { p.At = time.Time{} }), "/at"},
		{order.Confirm{}, "/at"},
		{order.Ship{}, "/at"},
		{order.Complete{}, "/at"},
		{order.Cancel{Reason: "late"}, "/at"},
		{order.Cancel{At: later}, "/reason"},
	}
	for _, test := range tests {
		// The state allows none of them: bad input is told first.
		events, err := test.when.Decide(given(placed, cancelled))
		var invalid *goods.InvalidError
		if events != nil || !errors.As(err, &invalid) || invalid.Field != test.field {
			t.Errorf("%+v = %v, %v, want an *InvalidError for %s", test.when, events, err, test.field)
		}
	}
}

func TestGuestsCanOrderAndCancel(t *testing.T) {
	guest := place
	guest.CustomerID = nil
	events, err := guest.Decide(order.Order{})
	if err != nil {
		t.Fatalf("Place = %v", err)
	}
	events, err = order.Cancel{Reason: "changed their mind", At: later}.Decide(given(events...))
	if err != nil || events[0].(order.Cancelled).CustomerID != nil {
		t.Errorf("Cancel = %+v, %v, want no customer", events, err)
	}
}

func TestPlacedDayIsInUTC(t *testing.T) {
	p := place
	// It is still the day before in UTC.
	p.At = time.Date(2026, 3, 2, 0, 30, 0, 0, time.FixedZone("CET", 3600))
	events, err := p.Decide(order.Order{})
	if err != nil {
		t.Fatalf("Place = %v", err)
	}
	fromElsewhere := placed // by a writer that keeps offsets
	fromElsewhere.At = p.At
	for _, o := range []order.Order{given(events...), given(fromElsewhere)} {
		got, err := order.Cancel{Reason: "late", At: later}.Decide(o)
		if err != nil || got[0].(order.Cancelled).PlacedDay != "2026-03-01" {
			t.Errorf("Cancel of %v = %+v, %v, want placed day 2026-03-01", o.PlacedAt, got, err)
		}
	}
}

func TestPlacedKeepsItsLinesWhenTheCommandChanges(t *testing.T) {
	p := place
	p.Lines = []goods.Line{lines[0]}
	events, err := p.Decide(order.Order{})
	if err != nil {
		t.Fatalf("Place = %v", err)
	}
	p.Lines[0].Quantity = 1000
	if got := events[0].(order.Placed).Lines[0]; got != lines[0] {
		t.Errorf("line of Placed = %+v, want %+v", got, lines[0])
	}
}
