package gateway_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
)

func TestAnswersAreRecorded(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	tests := []struct {
		operation gateway.Operation
		done      commands.Command[payment.Payment, payment.Event]
		declined  commands.Command[payment.Payment, payment.Event]
	}{
		{
			gateway.Authorize,
			payment.Authorize{OrderID: "42", Key: "k", AmountMinor: 100, Currency: "GBP", At: at},
			payment.Decline{OrderID: "42", Key: "k", Reason: "no funds", At: at},
		},
		{
			gateway.Capture,
			payment.Capture{OrderID: "42", Key: "k", AmountMinor: 100, At: at},
			payment.DeclineCapture{OrderID: "42", Key: "k", Reason: "no funds", At: at},
		},
		{gateway.Void, payment.Void{OrderID: "42", Key: "k", At: at}, nil},
		{gateway.Refund, payment.Refund{OrderID: "42", Key: "k", AmountMinor: 100, At: at}, nil},
	}
	for _, test := range tests {
		a := gateway.Answer{Operation: test.operation, Key: "k", OrderID: "42", AmountMinor: 100, Currency: "GBP", At: at}
		if got := a.Command(); !reflect.DeepEqual(got, test.done) || a.Err() != nil {
			t.Errorf("Command of %+v = %+v, want %+v; Err = %v", a, got, test.done, a.Err())
		}
		a.Declined = "no funds"
		if got := a.Command(); got != test.declined || !errors.Is(a.Err(), gateway.ErrDeclined) {
			t.Errorf("Command of %+v = %+v, want %+v; Err = %v", a, got, test.declined, a.Err())
		}
	}
	err := gateway.Answer{Operation: gateway.Refund, OrderID: "42", Declined: "no funds"}.Err()
	if want := "payment gateway declined to refund for order 42: no funds"; err.Error() != want {
		t.Errorf("Err = %q, want %q", err, want)
	}
}
