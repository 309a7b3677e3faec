package customer_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/57528e99/recount/domain/customer"
	"github.com/57528e99/recount/domain/goods"
)

var (
	at       = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	ann, bob = "ann@example.com", "bob@example.com"

	registered = customer.Registered{ID: "c-7", Email: &ann, At: at}
	changed    = customer.EmailChanged{ID: "c-7", Email: &bob, At: at}
	removed    = customer.EmailChanged{ID: "c-7", At: at}
)

type command interface {
	Decide(customer.Customer) ([]customer.Event, error)
}

type events = []customer.Event

func given(events ...customer.Event) customer.Customer {
	var s customer.Customer
	for _, e := range events {
		s = e.Evolve(s)
	}
	return s
}

func TestDecisions(t *testing.T) {
	again := ann
	register := customer.Register{ID: "c-7", Email: &ann, At: at}
	change := func(email *string) command { return customer.ChangeEmail{Email: email, At: at} }
	tests := []struct {
		name  string
		given events
		when  command
		then  events
		err   error
	}{
		{"register", nil, register, events{registered}, nil},
		{"register without an address", nil, customer.Register{ID: "c-7", At: at}, events{customer.Registered{ID: "c-7", At: at}}, nil},
		{"register again", events{registered}, register, nil, customer.ErrAlreadyRegistered},
		{"change", events{registered}, change(&bob), events{changed}, nil},
		{"change back", events{registered, changed}, change(&ann), events{customer.EmailChanged{ID: "c-7", Email: &ann, At: at}}, nil},
		{"remove", events{registered}, change(nil), events{removed}, nil},
		{"the same again", events{registered}, change(&again), nil, nil},
		{"removed again", events{registered, removed}, change(nil), nil, nil},
		{"change of nobody", nil, change(&ann), nil, customer.ErrNotRegistered},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.when.Decide(given(test.given...))
			if !errors.Is(err, test.err) || !reflect.DeepEqual(got, test.then) {
				t.Errorf("Decide = %+v, %v, want %+v, %v", got, err, test.then, test.err)
			}
		})
	}
	if got := given(registered, changed); got.ID != "c-7" || *got.Email != bob {
		t.Errorf("customer = %+v, want %s with %s", got, "c-7", bob)
	}
}

func TestInputIsChecked(t *testing.T) {
	two := ann + "," + bob
	tests := []struct {
		when  command
		field string
	}{
		{customer.Register{ID: "", At: at}, "/id"},
		{customer.Register{ID: "c-7", Email: &two, At: at}, "/email"},
		{customer.Register{ID: "c-7"}, "/at"},
		{customer.ChangeEmail{Email: new(string), At: at}, "/email"},
		{customer.ChangeEmail{}, "/at"},
	}
	for _, test := range tests {
		for _, s := range []customer.Customer{{}, given(registered)} {
			got, err := test.when.Decide(s)
			var invalid *goods.InvalidError
			if got != nil || !errors.As(err, &invalid) || invalid.Field != test.field {
				t.Errorf("%+v = %v, %v, want an *InvalidError for %s", test.when, got, err, test.field)
			}
		}
	}
}

func TestEventsAndStateSurviveJSON(t *testing.T) {
	for _, v := range []any{registered, changed, removed, given(registered, changed), given(registered, removed)} {
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
