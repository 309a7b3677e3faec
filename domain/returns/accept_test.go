package returns_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/returns"
)

var (
	customer = "c-7"

	accept = returns.Accept{
		ID: "r-9", CustomerID: &customer, Country: "United Kingdom", Currency: "GBP",
		Lines: []goods.Line{
			{SKU: "DISCOUNT", Description: "late delivery", Quantity: 1, UnitPriceMinor: 500},
			{SKU: "MUG-1A", Quantity: 2, UnitPriceMinor: 240},
		},
		At: time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC),
	}
	returned = returns.Returned{
		ID: "r-9", CustomerID: &customer, Country: "United Kingdom", Currency: "GBP",
		Lines: accept.Lines, TotalMinor: 980, At: accept.At,
	}
)

func TestANewReturnIsAccepted(t *testing.T) {
	got, err := accept.Decide(returns.Return{})
	if want := []returns.Event{returned}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Accept = %+v, %v, want %+v", got, err, want)
	}
}

func TestAReturnIsAcceptedOnce(t *testing.T) {
	got, err := accept.Decide(returned.Evolve(returns.Return{}))
	if got != nil || !errors.Is(err, returns.ErrAlreadyReturned) {
		t.Errorf("Accept again = %+v, %v, want ErrAlreadyReturned", got, err)
	}
}

func TestReturnedKeepsItsLinesWhenTheCommandChanges(t *testing.T) {
	c := accept
	c.Lines = []goods.Line{accept.Lines[0]}
	events, err := c.Decide(returns.Return{})
	if err != nil {
		t.Fatalf("Accept = %v", err)
	}
	c.Lines[0].Quantity = 1000
	if got := events[0].(returns.Returned).Lines[0]; got != accept.Lines[0] {
		t.Errorf("line of Returned = %+v, want %+v", got, accept.Lines[0])
	}
}

func TestInputIsChecked(t *testing.T) {
	tests := []struct {
		field  string
		change func(*returns.Accept)
	}{
		{"/id", func(c *returns.Accept) { c.ID = "" }},
		{"/customer_id", func(c *returns.Accept) { c.CustomerID = new(string) }},
		{"/country", func(c *returns.Accept) { c.Country = " EIRE" }},
		{"/currency", func(c *returns.Accept) { c.Currency = "£" }},
		{"/lines", func(c *returns.Accept) { c.Lines = nil }},
		{"/lines/0/quantity", func(c *returns.Accept) { c.Lines = []goods.Line{{SKU: "A", Quantity: -1}} }},
		{"/lines/0", func(c *returns.Accept) {
			c.Lines = []goods.Line{{SKU: "A", Quantity: 2, UnitPriceMinor: goods.MaxTotalMinor}}
		}},
		{"/at", func(c *returns.Accept) { c.At = time.Time{} }},
	}
	for _, test := range tests {
		c := accept
		test.change(&c)
		// It exists already: bad input is told first.
		got, err := c.Decide(returns.Return{ID: "r-9"})
		var invalid *goods.InvalidError
		if got != nil || !errors.As(err, &invalid) || invalid.Field != test.field {
			t.Errorf("%+v = %v, %v, want an *InvalidError for %s", c, got, err, test.field)
		}
	}
}

func TestReturnedSurvivesJSON(t *testing.T) {
	data, err := json.Marshal(returned)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	var back returns.Returned
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, returned) {
		t.Errorf("Returned comes back from %s as %+v, %v", data, back, err)
	}
}
