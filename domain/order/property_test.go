package order_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/order"
)

// machine is the state machine as doc.go draws it, apart from the code.
var machine = map[order.Status][]order.Status{
	"":                    {order.StatusPlaced},
	order.StatusPlaced:    {order.StatusConfirmed, order.StatusCancelled},
	order.StatusConfirmed: {order.StatusShipped, order.StatusCancelled},
	order.StatusShipped:   {order.StatusCompleted},
}

func TestOrdersFollowTheMachine(t *testing.T) {
	commands := map[order.Status]command{
		order.StatusPlaced:    place,
		order.StatusConfirmed: order.Confirm{At: later},
		order.StatusShipped:   order.Ship{At: later},
		order.StatusCompleted: order.Complete{At: later},
		order.StatusCancelled: order.Cancel{Reason: "changed her mind", At: later},
	}
	goals := []order.Status{order.StatusPlaced, order.StatusConfirmed, order.StatusShipped, order.StatusCompleted, order.StatusCancelled}
	rapid.Check(t, func(t *rapid.T) {
		var o order.Order
		for _, goal := range rapid.SliceOfN(rapid.SampledFrom(goals), 1, 12).Draw(t, "goals") {
			before := deepCopy(t, o)
			events, err := commands[goal].Decide(o)
			allowed := slices.Contains(machine[o.Status], goal)
			if allowed != (err == nil) {
				t.Fatalf("from %q to %q: %v", o.Status, goal, err)
			}
			next := o
			for _, e := range events {
				next = e.Evolve(next)
			}
			if !reflect.DeepEqual(o, before) {
				t.Fatalf("deciding or evolving changed its argument from %+v to %+v", before, o)
			}
			if allowed && next.Status != goal {
				t.Fatalf("status = %q, want %q", next.Status, goal)
			}
			o = next
		}
	})
}

func TestEventsAndStateSurviveJSON(t *testing.T) {
	for _, v := range []any{placed, confirmed, shipped, completed, cancelled, given(placed, confirmed)} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("marshal %T: %v", v, err)
		}
		back := reflect.New(reflect.TypeOf(v))
		if err := json.Unmarshal(data, back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), v) {
			t.Errorf("%T comes back from %s as %+v, %v", v, data, back.Elem(), err)
		}
	}
}

// The largest orders that are accepted must fit into an event, or they could be
// accepted and never be written, or written and never be cancelled.
func TestTheLargestOrderFitsIntoAnEvent(t *testing.T) {
	const maxEventBytes = 1<<20 - 16<<10 // less what metadata needs
	long := strings.Repeat("c", goods.MaxIDBytes)
	p := order.Place{
		ID: long, CustomerID: &long, Country: strings.Repeat("&", goods.MaxCountryBytes), Currency: "GBP", At: at,
		Lines: make([]goods.Line, goods.MaxLines),
	}
	for i := range p.Lines {
		text := goods.MaxLinesBytes / goods.MaxLines
		if i < goods.MaxLinesBytes%goods.MaxLines {
			text++
		}
		// JSON writes & in six bytes, the most for a byte that is allowed.
		p.Lines[i] = goods.Line{SKU: "&", Description: strings.Repeat("&", text-1), Quantity: goods.MaxQuantity}
	}
	events, err := p.Decide(order.Order{})
	if err != nil {
		t.Fatalf("Place = %v", err)
	}
	o := given(events...)
	// Prices as long as can be; no order can have them all for the total's sake.
	for i := range o.Lines {
		o.Lines[i].UnitPriceMinor = money.Max
	}
	events, err = order.Cancel{Reason: strings.Repeat("&", goods.MaxReasonBytes), At: at}.Decide(o)
	if err != nil {
		t.Fatalf("Cancel = %v", err)
	}
	data, err := json.Marshal(events[0])
	if err != nil || len(data) > maxEventBytes {
		t.Errorf("the largest cancellation has %d bytes, %v, want at most %d", len(data), err, maxEventBytes)
	}

	p.Lines[0].Description += "&"
	if _, err := p.Decide(order.Order{}); !errors.Is(err, goods.ErrInvalid) {
		t.Errorf("Place with one byte more = %v, want an *InvalidError", err)
	}
}

func deepCopy(t *rapid.T, o order.Order) order.Order {
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var copied order.Order
	if err := json.Unmarshal(data, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}
