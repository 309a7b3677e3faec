package stock_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/stock"
)

// TestReservations: what commands about an order as a whole do in each status of its reservation; "" is nothing, "!" a refusal.
func TestReservations(t *testing.T) {
	lines := []goods.Line{{SKU: sku, Quantity: 1}}
	type command interface {
		Decide(stock.Reservation) ([]stock.ReservationEvent, error)
	}
	commands := []command{
		stock.ReserveOrder{OrderID: "42", Lines: lines, At: at}, stock.RefuseOrder{OrderID: "42", Reason: "too little", At: at},
		stock.ReleaseOrder{OrderID: "42", Lines: lines, At: at}, stock.CommitOrder{OrderID: "42", Lines: lines, At: at},
	}
	for status, want := range map[stock.ReservationStatus][]string{
		"":                         {"OrderReserved", "OrderRefused", "OrderReleased", "OrderHandedOut"},
		stock.ReservationMade:      {"", "", "OrderReleased", "OrderHandedOut"},
		stock.ReservationRefused:   {"!", "", "", "!"},
		stock.ReservationReleased:  {"!", "", "", "!"},
		stock.ReservationHandedOut: {"!", "", "", ""},
	} {
		for i, c := range commands {
			got, err := c.Decide(stock.Reservation{OrderID: "42", Status: status})
			what := ""
			switch {
			case errors.Is(err, stock.ErrReservationClosed):
				what = "!"
			case err != nil:
				t.Fatalf("%T when %q: %v", c, status, err)
			case len(got) > 0:
				what = reflect.TypeOf(got[0]).Name()
				if after := got[0].Evolve(stock.Reservation{}); after.OrderID != "42" || after.Status == status {
					t.Errorf("after %T when %q: %+v", c, status, after)
				}
			}
			if what != want[i] {
				t.Errorf("%T when %q = %q, want %q", c, status, what, want[i])
			}
		}
	}
	for _, c := range []command{
		stock.ReserveOrder{OrderID: "4/2", Lines: lines, At: at}, stock.ReserveOrder{OrderID: "42", At: at}, stock.RefuseOrder{OrderID: "42", At: at},
		stock.ReleaseOrder{OrderID: "42", Lines: lines}, stock.CommitOrder{Lines: lines, At: at},
	} {
		if got, err := c.Decide(stock.Reservation{}); got != nil || !errors.Is(err, goods.ErrInvalid) {
			t.Errorf("%+v = %+v, %v; want an *InvalidError", c, got, err)
		}
	}
}
