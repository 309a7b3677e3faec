package shipment_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/shipment"
)

var (
	at    = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	later = at.Add(48 * time.Hour)

	schedule = shipment.Schedule{ID: "s-1", OrderID: "42", Country: "Norway", At: at}
	dispatch = shipment.Dispatch{At: later}
	deliver  = shipment.Deliver{At: later}
	cancel   = shipment.Cancel{Reason: "changed her mind", At: later}
	fail     = shipment.Fail{Reason: "nobody at home", At: later}

	scheduled  = shipment.Scheduled{ID: "s-1", OrderID: "42", Country: "Norway", At: at}
	dispatched = shipment.Dispatched{ID: "s-1", OrderID: "42", At: later}
	delivered  = shipment.Delivered{ID: "s-1", OrderID: "42", At: later}
	cancelled  = shipment.Cancelled{ID: "s-1", OrderID: "42", Reason: "changed her mind", At: later}
	failed     = shipment.Failed{ID: "s-1", OrderID: "42", Reason: "nobody at home", At: later}
)

type command interface {
	Decide(shipment.Shipment) ([]shipment.Event, error)
}

func given(events ...shipment.Event) shipment.Shipment {
	var s shipment.Shipment
	for _, e := range events {
		s = e.Evolve(s)
	}
	return s
}

// machine is the state machine as doc.go draws it, apart from the code.
var machine = map[shipment.Status][]shipment.Status{
	"":                        {shipment.StatusScheduled},
	shipment.StatusScheduled:  {shipment.StatusDispatched, shipment.StatusCancelled, shipment.StatusFailed},
	shipment.StatusDispatched: {shipment.StatusDelivered, shipment.StatusFailed},
}

func TestShipmentsFollowTheMachine(t *testing.T) {
	type move struct {
		when command
		then shipment.Event
	}
	moves := map[shipment.Status]move{
		shipment.StatusScheduled:  {schedule, scheduled},
		shipment.StatusDispatched: {dispatch, dispatched},
		shipment.StatusDelivered:  {deliver, delivered},
		shipment.StatusCancelled:  {cancel, cancelled},
		shipment.StatusFailed:     {fail, failed},
	}
	goals := []shipment.Status{
		shipment.StatusScheduled, shipment.StatusDispatched, shipment.StatusDelivered, shipment.StatusCancelled, shipment.StatusFailed,
	}
	rapid.Check(t, func(t *rapid.T) {
		var s shipment.Shipment
		for _, goal := range rapid.SliceOfN(rapid.SampledFrom(goals), 1, 12).Draw(t, "goals") {
			got, err := moves[goal].when.Decide(s)
			if !slices.Contains(machine[s.Status], goal) {
				if got != nil || err == nil {
					t.Fatalf("from %q to %q: %+v, %v, want a refusal", s.Status, goal, got, err)
				}
				continue
			}
			if want := []shipment.Event{moves[goal].then}; err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("from %q to %q: %+v, %v, want %+v", s.Status, goal, got, err, want)
			}
			if s = got[0].Evolve(s); s != (shipment.Shipment{ID: "s-1", OrderID: "42", Status: goal}) {
				t.Fatalf("shipment = %+v, want %q", s, goal)
			}
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	tests := []struct {
		given []shipment.Event
		when  command
		is    error
		text  string
	}{
		{[]shipment.Event{scheduled, failed}, schedule, shipment.ErrAlreadyScheduled, "shipment was scheduled already: use another id for another shipment"},
		{nil, cancel, shipment.ErrNotScheduled, "shipment was never scheduled: check the id, or schedule it first"},
		{[]shipment.Event{scheduled, dispatched}, cancel, shipment.ErrTransition, "shipment s-1 cannot be cancelled: it is dispatched (it can only be cancelled when scheduled)"},
		{[]shipment.Event{scheduled, cancelled}, cancel, shipment.ErrTransition, "shipment s-1 cannot be cancelled: it is cancelled already (it can only be cancelled when scheduled)"},
		{[]shipment.Event{scheduled, dispatched, delivered}, fail, shipment.ErrTransition, "shipment s-1 cannot be failed: it is delivered (it can only be failed when scheduled or dispatched)"},
	}
	for _, test := range tests {
		got, err := test.when.Decide(given(test.given...))
		if got != nil || !errors.Is(err, test.is) || err.Error() != test.text {
			t.Errorf("%T after %d events = %v, %v, want %q", test.when, len(test.given), got, err, test.text)
		}
	}
}

// TestCallOff: whatever a shipment is when its order is called off, the customer gets nothing by it.
func TestCallOff(t *testing.T) {
	recalled := shipment.Recalled{ID: "s-1", OrderID: "42", Reason: "changed her mind", At: later}
	callOff := shipment.CallOff{ID: "s-1", OrderID: "42", Reason: "changed her mind", At: later}
	for _, test := range []struct {
		given []shipment.Event
		then  shipment.Event
		is    shipment.Status
	}{
		{nil, cancelled, shipment.StatusCancelled},
		{[]shipment.Event{scheduled}, cancelled, shipment.StatusCancelled},
		{[]shipment.Event{scheduled, dispatched}, recalled, shipment.StatusRecalled},
		{[]shipment.Event{scheduled, dispatched, delivered}, recalled, shipment.StatusRecalled},
		{[]shipment.Event{scheduled, failed}, nil, shipment.StatusFailed},
	} {
		s := given(test.given...)
		got, err := callOff.Decide(s)
		if test.then == nil && (got != nil || err != nil) || test.then != nil && (err != nil || len(got) != 1 || got[0] != test.then) {
			t.Errorf("after %d events it is called off by %+v, %v; want %+v", len(test.given), got, err, test.then)
		}
		for _, e := range got {
			s = e.Evolve(s)
		}
		if s != (shipment.Shipment{ID: "s-1", OrderID: "42", Status: test.is}) {
			t.Errorf("after %d events and CallOff: %+v, want %s", len(test.given), s, test.is)
		}
		if got, err := callOff.Decide(s); got != nil || err != nil {
			t.Errorf("what is %s is called off again: %+v, %v", s.Status, got, err)
		}
		if _, err := schedule.Decide(s); err == nil {
			t.Errorf("what is %s is scheduled", s.Status)
		}
	}
}

func TestInputIsChecked(t *testing.T) {
	tests := []struct {
		when  command
		field string
	}{
		{shipment.Schedule{OrderID: "42", Country: "Norway", At: at}, "/id"},
		{shipment.Schedule{ID: "s-1", OrderID: "4/2", Country: "Norway", At: at}, "/order_id"},
		{shipment.Schedule{ID: "s-1", OrderID: "42", At: at}, "/country"},
		{shipment.Schedule{ID: "s-1", OrderID: "42", Country: "Norway"}, "/at"},
		{shipment.Dispatch{}, "/at"},
		{shipment.Deliver{}, "/at"},
		{shipment.Cancel{Reason: "late"}, "/at"},
		{shipment.Cancel{At: later}, "/reason"},
		{shipment.CallOff{OrderID: "42", Reason: "late", At: later}, "/id"},
		{shipment.CallOff{ID: "s-1", Reason: "late", At: later}, "/order_id"},
		{shipment.CallOff{ID: "s-1", OrderID: "42", At: later}, "/reason"},
		{shipment.CallOff{ID: "s-1", OrderID: "42", Reason: "late"}, "/at"},
		{shipment.Fail{Reason: "lost"}, "/at"},
		{shipment.Fail{At: later}, "/reason"},
	}
	for _, test := range tests {
		// The state allows none of them: bad input is told first.
		got, err := test.when.Decide(given(scheduled, cancelled))
		var invalid *goods.InvalidError
		if got != nil || !errors.As(err, &invalid) || invalid.Field != test.field {
			t.Errorf("%+v = %v, %v, want an *InvalidError for %s", test.when, got, err, test.field)
		}
	}
}

func TestEventsAndStateSurviveJSON(t *testing.T) {
	for _, v := range []any{scheduled, dispatched, delivered, cancelled, failed, given(scheduled, dispatched)} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("marshal %T: %v", v, err)
		}
		back := reflect.New(reflect.TypeOf(v))
		if err := json.Unmarshal(data, back.Interface()); err != nil || back.Elem().Interface() != v {
			t.Errorf("%T comes back from %s as %+v, %v", v, data, back.Elem(), err)
		}
	}
}
