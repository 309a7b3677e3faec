package payment_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/payment"
)

const order = "42"

var at = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)

type command interface {
	Decide(payment.Payment) ([]payment.Event, error)
}

func given(events ...payment.Event) payment.Payment {
	var p payment.Payment
	for _, e := range events {
		p = e.Evolve(p)
	}
	return p
}

func authorize(key string, minor int64) command {
	return payment.Authorize{OrderID: order, Key: key, AmountMinor: minor, Currency: "GBP", At: at}
}
func decline(key string) command {
	return payment.Decline{OrderID: order, Key: key, Reason: "no funds", At: at}
}
func capture(key string, minor int64) command {
	return payment.Capture{OrderID: order, Key: key, AmountMinor: minor, At: at}
}
func declineCapture(key string) command {
	return payment.DeclineCapture{OrderID: order, Key: key, Reason: "expired", At: at}
}
func void(key string) command { return payment.Void{OrderID: order, Key: key, At: at} }
func refund(key string, minor int64) command {
	return payment.Refund{OrderID: order, Key: key, AmountMinor: minor, At: at}
}

func authorized(key string, minor int64) payment.Event {
	return payment.Authorized{OrderID: order, Key: key, AmountMinor: minor, Currency: "GBP", At: at}
}
func declined(key string) payment.Event {
	return payment.Declined{OrderID: order, Key: key, Reason: "no funds", At: at}
}
func captured(key string, minor int64) payment.Event {
	return payment.Captured{OrderID: order, Key: key, AmountMinor: minor, Currency: "GBP", At: at}
}
func captureDeclined(key string) payment.Event {
	return payment.CaptureDeclined{OrderID: order, Key: key, Reason: "expired", At: at}
}
func voided(key string, minor int64) payment.Event {
	e := payment.Voided{OrderID: order, Key: key, AmountMinor: minor, Currency: "GBP", At: at}
	if minor == 0 {
		e.Currency = ""
	}
	return e
}
func refunded(key string, minor int64) payment.Event {
	return payment.Refunded{OrderID: order, Key: key, AmountMinor: minor, Currency: "GBP", At: at}
}

type events = []payment.Event

func TestWhatIsAllowed(t *testing.T) {
	tests := []struct {
		name  string
		given events
		when  command
		then  payment.Event
	}{
		{"authorize", nil, authorize("a", 100), authorized("a", 100)},
		{"decline", nil, decline("a"), declined("a")},
		{"decline another card", events{declined("a")}, decline("b"), declined("b")},
		{"authorize another card", events{declined("a")}, authorize("b", 100), authorized("b", 100)},
		{"capture all", events{authorized("a", 100)}, capture("b", 100), captured("b", 100)},
		{"capture a part", events{authorized("a", 100)}, capture("b", 60), captured("b", 60)},
		{"capture the rest", events{authorized("a", 100), captured("b", 60)}, capture("c", 40), captured("c", 40)},
		{"decline a capture", events{authorized("a", 100)}, declineCapture("b"), captureDeclined("b")},
		{"capture what was declined under another key", events{authorized("a", 100), captureDeclined("b")}, capture("c", 100), captured("c", 100)},
		{"void what was not captured", events{authorized("a", 100), captureDeclined("b")}, void("c"), voided("c", 100)},
		{"void all", events{authorized("a", 100)}, void("b"), voided("b", 100)},
		{"void the rest", events{authorized("a", 100), captured("b", 60)}, void("c"), voided("c", 40)},
		{"void what nobody has heard of", nil, void("b"), voided("b", 0)},
		{"void what was declined, for another answer may be on its way", events{declined("a")}, void("b"), voided("b", 0)},
		{"refund all", events{authorized("a", 100), captured("b", 60)}, refund("c", 60), refunded("c", 60)},
		{"refund the rest", events{authorized("a", 100), captured("b", 60), refunded("c", 50)}, refund("d", 10), refunded("d", 10)},
		{"refund after the rest was voided", events{authorized("a", 100), captured("b", 60), voided("c", 40)}, refund("d", 60), refunded("d", 60)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.when.Decide(given(test.given...))
			if want := (events{test.then}); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Decide = %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

// What the gateway answers twice, and what an undo finds undone, changes nothing.
func TestWhatIsNothingToDo(t *testing.T) {
	all := events{declined("a"), authorized("b", 100), captured("c", 60), voided("d", 40), refunded("e", 10)}
	for _, test := range []struct {
		given events
		when  command
	}{
		{all, decline("a")},
		{all, authorize("b", 100)},
		{all, capture("c", 60)},
		{all, void("d")},
		{all, refund("e", 10)},
		{all, void("f")},
		{events{voided("a", 0)}, void("b")},
		{events{authorized("a", 100), captureDeclined("b"), voided("c", 100)}, declineCapture("b")},
		{events{authorized("a", 100), voided("c", 100)}, declineCapture("b")},
		{events{authorized("a", 100), captured("b", 100)}, declineCapture("c")},
		{events{authorized("a", 100), captured("b", 100), refunded("c", 100)}, void("d")},
	} {
		if got, err := test.when.Decide(given(test.given...)); got != nil || err != nil {
			t.Errorf("%+v after %+v = %+v, %v, want nothing", test.when, test.given, got, err)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	tests := []struct {
		given events
		when  command
		is    error
		text  string
	}{
		{events{authorized("a", 100)}, authorize("b", 100), payment.ErrAlreadyAuthorized, "payment was authorized already: capture or void it"},
		{events{authorized("a", 100)}, decline("b"), payment.ErrAlreadyAuthorized, "payment was authorized already: capture or void it"},
		{events{voided("b", 0)}, authorize("a", 100), payment.ErrVoided, "payment was voided: nothing can be authorized for this order any more"},
		{events{authorized("a", 100), voided("b", 100)}, authorize("c", 100), payment.ErrVoided, "payment was voided: nothing can be authorized for this order any more"},
		{events{voided("b", 0)}, decline("a"), payment.ErrVoided, "payment was voided: nothing can be authorized for this order any more"},
		{nil, capture("b", 1), payment.ErrAmount, "cannot capture 1 for order 42: 0 are left to capture"},
		{events{declined("a")}, capture("b", 1), payment.ErrAmount, "cannot capture 1 for order 42: 0 are left to capture"},
		{events{authorized("a", 100), captured("b", 60)}, capture("c", 41), payment.ErrAmount, "cannot capture 41 for order 42: 40 are left to capture"},
		{events{authorized("a", 100), voided("b", 100)}, capture("c", 1), payment.ErrAmount, "cannot capture 1 for order 42: 0 are left to capture"},
		{events{authorized("a", 100)}, refund("b", 1), payment.ErrAmount, "cannot refund 1 for order 42: 0 are left to refund"},
		{events{authorized("a", 100), captured("b", 60), refunded("c", 50)}, refund("d", 11), payment.ErrAmount, "cannot refund 11 for order 42: 10 are left to refund"},
		{events{authorized("a", 100), captured("b", 100)}, void("c"), payment.ErrCaptured, "payment was captured, and nothing is left to void: refund it"},
		{events{authorized("a", 100), captured("b", 60)}, capture("b", 40), payment.ErrKeyReused, "idempotency key was used for something else: use another key"},
		{events{authorized("a", 100), captured("b", 60)}, refund("b", 60), payment.ErrKeyReused, "idempotency key was used for something else: use another key"},
		{events{authorized("a", 100)}, void("a"), payment.ErrKeyReused, "idempotency key was used for something else: use another key"},
		{events{declined("a")}, authorize("a", 100), payment.ErrKeyReused, "idempotency key was used for something else: use another key"},
		{events{authorized("a", 100)}, decline("a"), payment.ErrKeyReused, "idempotency key was used for something else: use another key"},
	}
	for _, test := range tests {
		got, err := test.when.Decide(given(test.given...))
		if got != nil || !errors.Is(err, test.is) || err.Error() != test.text {
			t.Errorf("%+v after %+v = %v, %v, want %q", test.when, test.given, got, err, test.text)
		}
	}
}

// Two answers that are recorded from one state, of which one comes too late.
func TestStatesShareNoSteps(t *testing.T) {
	p := given(declined("a"), authorized("b", 100), captured("c", 1)) // append has room for a fourth
	first := captured("d", 1).Evolve(p)
	_ = refunded("e", 1).Evolve(p)
	if got := first.Steps[3].Key; got != "d" {
		t.Errorf("key of the last step = %q, want %q", got, "d")
	}
}

func TestInputIsChecked(t *testing.T) {
	tests := []struct {
		when  command
		field string
	}{
		{payment.Authorize{OrderID: "4/2", Key: "k", AmountMinor: 1, Currency: "GBP", At: at}, "/order_id"},
		{authorize("", 1), "/key"},
		{authorize("k", 0), "/amount_minor"},
		{authorize("k", goods.MaxTotalMinor+1), "/amount_minor"},
		{payment.Authorize{OrderID: order, Key: "k", AmountMinor: 1, Currency: "gbp", At: at}, "/currency"},
		{payment.Authorize{OrderID: order, Key: "k", AmountMinor: 1, Currency: "GBP"}, "/at"},
		{payment.Decline{Key: "k", Reason: "no funds", At: at}, "/order_id"},
		{decline("a b"), "/key"},
		{payment.Decline{OrderID: order, Key: "k", At: at}, "/reason"},
		{payment.Decline{OrderID: order, Key: "k", Reason: "no funds"}, "/at"},
		{payment.Capture{Key: "k", AmountMinor: 1, At: at}, "/order_id"},
		{capture("", 1), "/key"},
		{capture("k", -1), "/amount_minor"},
		{payment.Capture{OrderID: order, Key: "k", AmountMinor: 1}, "/at"},
		{payment.DeclineCapture{OrderID: order, Key: "k", Reason: "expired"}, "/at"},
		{payment.DeclineCapture{OrderID: order, Key: "k", At: at}, "/reason"},
		{payment.Void{Key: "k", At: at}, "/order_id"},
		{void(""), "/key"},
		{payment.Void{OrderID: order, Key: "k"}, "/at"},
		{payment.Refund{Key: "k", AmountMinor: 1, At: at}, "/order_id"},
		{refund("", 1), "/key"},
		{refund("k", 0), "/amount_minor"},
		{payment.Refund{OrderID: order, Key: "k", AmountMinor: 1}, "/at"},
	}
	for _, test := range tests {
		// The key is known, and the state allows none of them: bad input is told first.
		got, err := test.when.Decide(given(authorized("k", 1), voided("v", 1)))
		var invalid *goods.InvalidError
		if got != nil || !errors.As(err, &invalid) || invalid.Field != test.field {
			t.Errorf("%+v = %v, %v, want an *InvalidError for %s", test.when, got, err, test.field)
		}
	}
}
