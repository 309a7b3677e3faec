package stock_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/stock"
)

const sku = "MUG-1A"

var at = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)

type command interface {
	Decide(stock.Stock) ([]stock.Event, error)
}

func given(events ...stock.Event) stock.Stock {
	var s stock.Stock
	for _, e := range events {
		s = e.Evolve(s)
	}
	return s
}

func receive(n int64) command { return stock.Receive{SKU: sku, Quantity: n, At: at} }
func adjust(n int64) command  { return stock.Adjust{SKU: sku, Delta: n, Reason: "counted", At: at} }
func reserve(order string, n int64) command {
	return stock.Reserve{SKU: sku, OrderID: order, Quantity: n, At: at}
}
func release(order string, n int64) command {
	return stock.Release{SKU: sku, OrderID: order, Quantity: n, At: at}
}
func commit(order string, n int64) command {
	return stock.Commit{SKU: sku, OrderID: order, Quantity: n, At: at}
}

func received(n int64) stock.Event { return stock.Received{SKU: sku, Quantity: n, At: at} }
func adjusted(n int64) stock.Event {
	return stock.Adjusted{SKU: sku, Delta: n, Reason: "counted", At: at}
}
func reserved(order string, n int64) stock.Event {
	return stock.Reserved{SKU: sku, OrderID: order, Quantity: n, At: at}
}
func released(order string, n int64) stock.Event {
	return stock.Released{SKU: sku, OrderID: order, Quantity: n, At: at}
}
func committed(order string, n int64) stock.Event {
	return stock.Committed{SKU: sku, OrderID: order, Quantity: n, At: at}
}

type (
	events       = []stock.Event
	reservations = map[string]int64
)

func TestWhatIsAllowed(t *testing.T) {
	tests := []struct {
		name  string
		given events
		when  command
		then  stock.Event
		state stock.Stock
	}{
		{"receive the first", nil, receive(10), received(10), stock.Stock{OnHand: 10}},
		{"receive up to the most", events{received(stock.MaxOnHand - 1)}, receive(1), received(1), stock.Stock{OnHand: stock.MaxOnHand}},
		{"find some", events{received(10)}, adjust(2), adjusted(2), stock.Stock{OnHand: 12}},
		{"lose all", events{received(10)}, adjust(-10), adjusted(-10), stock.Stock{}},
		{
			"reserve all", events{received(10)},
			reserve("42", 10), reserved("42", 10),
			stock.Stock{OnHand: 10, Reserved: 10, Reservations: reservations{"42": 10}},
		},
		{
			"lose what nobody reserved", events{received(10), reserved("42", 6)},
			adjust(-4), adjusted(-4),
			stock.Stock{OnHand: 6, Reserved: 6, Reservations: reservations{"42": 6}},
		},
		{
			"reserve more for the same order", events{received(10), reserved("42", 6)},
			reserve("42", 1), reserved("42", 1),
			stock.Stock{OnHand: 10, Reserved: 7, Reservations: reservations{"42": 7}},
		},
		{
			"release a part", events{received(10), reserved("42", 6), reserved("43", 1)},
			release("42", 2), released("42", 2),
			stock.Stock{OnHand: 10, Reserved: 5, Reservations: reservations{"42": 4, "43": 1}},
		},
		{
			"commit a part", events{received(10), reserved("42", 6)},
			commit("42", 2), committed("42", 2),
			stock.Stock{OnHand: 8, Reserved: 4, Reservations: reservations{"42": 4}},
		},
		{
			"commit the rest", events{received(10), reserved("42", 6), reserved("43", 1)},
			commit("42", 6), committed("42", 6),
			stock.Stock{OnHand: 4, Reserved: 1, Reservations: reservations{"43": 1}},
		},
		{
			"reserve again after all was committed", events{received(10), reserved("42", 6), committed("42", 6)},
			reserve("42", 4), reserved("42", 4),
			stock.Stock{OnHand: 4, Reserved: 4, Reservations: reservations{"42": 4}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := given(test.given...)
			got, err := test.when.Decide(before)
			if err != nil || !reflect.DeepEqual(got, events{test.then}) {
				t.Fatalf("Decide = %+v, %v, want %+v", got, err, test.then)
			}
			if after := got[0].Evolve(before); !reflect.DeepEqual(after, test.state) {
				t.Errorf("Evolve = %+v, want %+v", after, test.state)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	tests := []struct {
		given events
		when  command
		is    error
		text  string
	}{
		{
			nil, reserve("42", 1), stock.ErrInsufficient,
			"cannot reserve 1: 0 available (0 more are reserved); receive goods or release reservations first",
		},
		{
			events{received(10), reserved("42", 7)}, reserve("43", 5), stock.ErrInsufficient,
			"cannot reserve 5: 3 available (7 more are reserved); receive goods or release reservations first",
		},
		{
			events{received(10), reserved("42", 7)}, adjust(-4), stock.ErrInsufficient,
			"cannot take off 4: 3 available (7 more are reserved); receive goods or release reservations first",
		},
		{
			events{received(10), reserved("42", 3)}, release("42", 4), stock.ErrNotReserved,
			"cannot release 4 for order 42: it has 3 reserved",
		},
		{
			events{received(10), reserved("42", 3), committed("42", 3)}, commit("42", 1), stock.ErrNotReserved,
			"cannot commit 1 for order 42: it has 0 reserved",
		},
		{
			events{received(10), reserved("42", 3)}, commit("43", 3), stock.ErrNotReserved,
			"cannot commit 3 for order 43: it has 0 reserved",
		},
		{
			events{received(stock.MaxOnHand)}, receive(1), stock.ErrOverflow,
			"cannot add 1 to 9007199254740991 on hand: there can be at most 9007199254740991",
		},
		{
			events{received(stock.MaxOnHand - 1)}, adjust(2), stock.ErrOverflow,
			"cannot add 2 to 9007199254740990 on hand: there can be at most 9007199254740991",
		},
	}
	for _, test := range tests {
		got, err := test.when.Decide(given(test.given...))
		if got != nil || !errors.Is(err, test.is) || err.Error() != test.text {
			t.Errorf("%+v = %v, %v, want %q", test.when, got, err, test.text)
		}
	}
}

func TestInputIsChecked(t *testing.T) {
	tests := []struct {
		when  command
		field string
	}{
		{stock.Receive{SKU: "a/b", Quantity: 1, At: at}, "/sku"},
		{receive(0), "/quantity"},
		{receive(goods.MaxQuantity + 1), "/quantity"},
		{stock.Receive{SKU: sku, Quantity: 1}, "/at"},
		{stock.Adjust{Delta: 1, Reason: "found", At: at}, "/sku"},
		{adjust(0), "/delta"},
		{adjust(goods.MaxQuantity + 1), "/delta"},
		{adjust(-goods.MaxQuantity - 1), "/delta"},
		{stock.Adjust{SKU: sku, Delta: 1, At: at}, "/reason"},
		{stock.Adjust{SKU: sku, Delta: 1, Reason: "found"}, "/at"},
		{stock.Reserve{OrderID: "42", Quantity: 1, At: at}, "/sku"},
		{reserve("", 1), "/order_id"},
		{reserve("42", -1), "/quantity"},
		{stock.Reserve{SKU: sku, OrderID: "42", Quantity: 1}, "/at"},
		{release("4 2", 1), "/order_id"},
		{release("42", 0), "/quantity"},
		{commit("..", 1), "/order_id"},
		{commit("42", 0), "/quantity"},
	}
	for _, test := range tests {
		got, err := test.when.Decide(given(received(goods.MaxQuantity)))
		var invalid *goods.InvalidError
		if got != nil || !errors.As(err, &invalid) || invalid.Field != test.field {
			t.Errorf("%+v = %v, %v, want an *InvalidError for %s", test.when, got, err, test.field)
		}
	}
}
