package shop_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/domain/account"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	"github.com/57528e99/recount/shop/ledger"
	paying "github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

// verify returns what is found to be wrong if nothing happens for an hour.
func verify(t *testing.T, x *apptest.Test) (found []string) {
	t.Helper()
	v, err := x.Service.Verify(t.Context(), app.VerifyOptions{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range v.Invariants {
		for _, f := range i.Findings {
			if len(f.Positions) == 0 {
				t.Errorf("%s %s: it has no positions", f.Subject, f.What)
			}
			found = append(found, fmt.Sprintf("%s: %s: %s: %s, not %s", i.Name, f.Subject, f.What, f.Found, f.Expected))
		}
	}
	return found
}

var verifiedAt = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)

func cups(n, price int64) []goods.Line {
	return []goods.Line{{SKU: "CUP", Quantity: n, UnitPriceMinor: price}, {SKU: "POT", Quantity: 1, UnitPriceMinor: 0}}
}

func place(t *testing.T, x *apptest.Test, id string, cups []goods.Line) {
	t.Helper()
	run(t, x, "order.place", id, order.Place{ID: id, Country: "Norway", Currency: "NOK", Lines: cups, At: verifiedAt})
}

func run(t *testing.T, x *apptest.Test, name, id string, command any) {
	t.Helper()
	if err := x.Do(name, id, command); err != nil {
		t.Fatal(err)
	}
}

func receiveCups(t *testing.T, x *apptest.Test) {
	t.Helper()
	for _, sku := range []string{"CUP", "POT"} {
		run(t, x, "stock.receive", sku, stock.Receive{SKU: sku, Quantity: 100, At: verifiedAt})
	}
}

// checkedOut returns a shop with an order at each end.
func checkedOut(t *testing.T) *apptest.Test {
	t.Helper()
	plan := simulator.ByAmount(func(gateway.Operation, gateway.Request, int) simulator.Fault { return simulator.None })
	x := apptest.New(t, shop.WithCheckout(checkout.Orchestrated(checkout.Config{Payments: paying.Service{Gateway: simulator.New(simulator.Config{Plan: plan})}})))
	receiveCups(t, x)
	for id, price := range map[string]int64{"kept": 500, "sent": 500, "regretted": 500, "declined": 591, "free": 0} {
		place(t, x, id, cups(1, price))
	}
	place(t, x, "too-many", cups(1000, 500))
	delivered(t, x)
	run(t, x, "order.cancel", "regretted", order.Cancel{Reason: "changed my mind", At: verifiedAt})
	run(t, x, "shipment.dispatch", "sent", shipment.Dispatch{At: verifiedAt})
	delivered(t, x)
	run(t, x, "shipment.deliver", "sent", shipment.Deliver{At: verifiedAt})
	run(t, x, "order.complete", "sent", order.Complete{At: verifiedAt})
	run(t, x, "return.accept", "sent", returns.Accept{ID: "sent", Country: "Norway", Currency: "NOK", Lines: cups(1, 500), At: verifiedAt})
	run(t, x, "stock.adjust", "CUP", stock.Adjust{SKU: "CUP", Delta: 1, Reason: "came back", At: verifiedAt})
	return x
}

// TestVerifyNamesWhatIsOff plants one fault at a time into a log in which all adds up.
func TestVerifyNamesWhatIsOff(t *testing.T) {
	t.Parallel()
	const notKnown = ", which is not known or was at its end"
	for name, c := range map[string]struct {
		plant func(x *apptest.Test)
		want  []string
	}{
		"nothing": {func(*apptest.Test) {}, nil},
		"captured twice": {func(x *apptest.Test) {
			x.Given("payment-kept", payment.Authorized{OrderID: "kept", Key: "again", AmountMinor: 500, Currency: "NOK"},
				payment.Captured{OrderID: "kept", Key: "again", AmountMinor: 500, Currency: "NOK"})
		}, []string{"orders: order kept: captured: 1000 NOK, not at most the total, 500 NOK"}},
		"more captured than held": {func(x *apptest.Test) {
			x.Given("payment-kept", payment.Captured{OrderID: "kept", Key: "again", AmountMinor: 500, Currency: "NOK"})
		}, []string{"orders: order kept: captured and voided: 1000 NOK, not at most what was authorized, 500 NOK"}},
		"refunded and kept": {func(x *apptest.Test) {
			x.Given("payment-kept", payment.Refunded{OrderID: "kept", Key: "back", AmountMinor: 500, Currency: "NOK"})
		}, []string{"orders: order kept: captured less refunded: 0 NOK, not 500 NOK"}},
		"refunded twice": {func(x *apptest.Test) {
			x.Given("payment-regretted", payment.Refunded{OrderID: "regretted", Key: "back", AmountMinor: 500, Currency: "NOK"})
		}, []string{"orders: order regretted" + notKnown + ": refunded: 500, not at most what was captured, 0"}},
		"authorization of a cancelled order": {func(x *apptest.Test) {
			x.Given("payment-too-many", payment.Authorized{OrderID: "too-many", Key: "late", AmountMinor: 500, Currency: "NOK"})
		}, []string{"orders: order too-many" + notKnown + ": authorized and neither captured nor voided: 500 NOK, not 0"}},
		"paid in another currency": {func(x *apptest.Test) {
			x.Given("payment-free", payment.Authorized{OrderID: "free", Key: "late", AmountMinor: 500, Currency: "SEK"})
		}, []string{"orders: order free: currency of the payment: SEK, not NOK"}},
		"reservation of a cancelled order": {func(x *apptest.Test) {
			x.Given("stock-CUP", stock.Reserved{SKU: "CUP", OrderID: "declined", Quantity: 2})
		}, []string{"orders: order declined" + notKnown + ": reserved of CUP: 2, not 0"}},
		"reservation lost": {func(x *apptest.Test) {
			x.Given("stock-POT", stock.Released{SKU: "POT", OrderID: "kept", Quantity: 1})
		}, []string{"orders: order kept: reserved of POT: 0, not 1"}},
		"released twice": {func(x *apptest.Test) {
			x.Given("stock-POT", stock.Released{SKU: "POT", OrderID: "kept", Quantity: 2})
		}, []string{"orders: order kept: reserved of POT: -1, not 0"}},
		"handed out twice": {func(x *apptest.Test) {
			x.Given("stock-CUP", stock.Reserved{SKU: "CUP", OrderID: "sent", Quantity: 1}, stock.Committed{SKU: "CUP", OrderID: "sent", Quantity: 1})
		}, []string{"orders: order sent" + notKnown + ": handed out of CUP: 1, not 0"}},
		"more handed out than there is": {func(x *apptest.Test) {
			x.Given("stock-CUP", stock.Adjusted{SKU: "CUP", Delta: -99})
		}, []string{"stock: article CUP: on hand: 1 on hand (100 received, -98 adjusted, 1 shipped), 2 reserved, not at least what is reserved, which is not below 0"}},
		"shipped and nothing handed out": {func(x *apptest.Test) {
			x.Given("shipment-kept", shipment.Dispatched{ID: "kept", OrderID: "kept"})
			x.Given("order-kept", order.Shipped{ID: "kept"})
		}, []string{"orders: order kept: reserved of CUP: 1, not 0", "orders: order kept: handed out of CUP: 0, not 1",
			"orders: order kept: reserved of POT: 1, not 0", "orders: order kept: handed out of POT: 0, not 1"}},
		"dispatched and not shipped": {func(x *apptest.Test) {
			x.Given("shipment-kept", shipment.Dispatched{ID: "kept", OrderID: "kept"})
		}, []string{"orders: order kept: shipment: dispatched, not scheduled"}},
		"cancelled and sent": {func(x *apptest.Test) {
			x.Given("shipment-regretted", shipment.Dispatched{ID: "regretted", OrderID: "regretted"})
		}, []string{"orders: order regretted" + notKnown + ": shipment: dispatched, not none, or at its end"}},
		"cancelled, sent and delivered": {func(x *apptest.Test) {
			x.Given("shipment-regretted", shipment.Dispatched{ID: "regretted", OrderID: "regretted"}, shipment.Delivered{ID: "regretted", OrderID: "regretted"})
		}, []string{"orders: order regretted" + notKnown + ": shipment: delivered, not none, or at its end"}},
		"called off and delivered": {func(x *apptest.Test) {
			x.Given("shipment-regretted", shipment.Delivered{ID: "regretted", OrderID: "regretted"})
		}, []string{"orders: order regretted" + notKnown + ": shipment: delivered, not none, or at its end"}},
		"delivered twice": {func(x *apptest.Test) {
			x.Given("shipment-sent", shipment.Delivered{ID: "sent", OrderID: "sent"})
		}, []string{"orders: order sent" + notKnown + ": shipment: delivered, not none, or at its end"}},
		"completed twice": {func(x *apptest.Test) {
			x.Given("order-sent", order.Completed{ID: "sent"})
		}, []string{"orders: order sent: completed: an order that is not known, or was at its end, not an order that is shipped"}},
		"completed and never shipped": {func(x *apptest.Test) {
			x.Given("order-declined", order.Completed{ID: "declined"})
		}, []string{"orders: order declined: completed: an order that is not known, or was at its end, not an order that is shipped"}},
		"lost and sent again": {func(x *apptest.Test) {
			x.Given("shipment-kept", shipment.Dispatched{ID: "kept", OrderID: "kept"})
			delivered(t, x)
			x.Given("shipment-kept", shipment.Failed{ID: "kept", OrderID: "kept"})
			x.Given("shipment-kept-2", shipment.Scheduled{ID: "kept-2", OrderID: "kept"}, shipment.Dispatched{ID: "kept-2", OrderID: "kept"}, shipment.Delivered{ID: "kept-2", OrderID: "kept"})
		}, nil},
		"confirmed without a shipment": {func(x *apptest.Test) {
			x.Given("order-made", order.Placed{ID: "made", Currency: "NOK", TotalMinor: 5})
			x.Given("payment-made", payment.Authorized{OrderID: "made", AmountMinor: 5, Currency: "NOK"}, payment.Captured{OrderID: "made", AmountMinor: 5})
			x.Given("order-made", order.Confirmed{ID: "made"})
		}, []string{"orders: order made: shipment: none, not scheduled"}},
		"two ends": {func(x *apptest.Test) {
			x.Given("order-sent", order.Cancelled{ID: "sent"})
		}, []string{"orders: order sent: cancelled: an order that is not known, or was at its end, not an order that is placed or confirmed"}},
		"confirmed twice": {func(x *apptest.Test) {
			x.Given("order-kept", order.Confirmed{ID: "kept"})
		}, []string{"orders: order kept: confirmed: one that is confirmed, not an order that is placed"}},
		"stopped in the middle": {func(x *apptest.Test) {
			x.Given("order-made", order.Placed{ID: "made", Currency: "NOK", TotalMinor: 5})
			x.Given("payment-made", payment.Authorized{OrderID: "made", AmountMinor: 5, Currency: "NOK"})
		}, []string{"orders: order made: status: placed, not confirmed or cancelled"}},
		"passed over": {func(x *apptest.Test) {
			x.Given("order-lost", order.Placed{ID: "lost", Currency: "NOK", TotalMinor: 5})
			place(t, x, "later", cups(1, 500)) // which is checked out
			x.Given("payment-later", payment.Declined{OrderID: "later"})
			x.Given("order-later", order.Cancelled{ID: "later"})
		}, []string{"orders: order lost: checkout: not begun, not begun, as that of a later order was"}},
		"money for nothing": {func(x *apptest.Test) {
			x.Given("payment-never", payment.Authorized{OrderID: "never", AmountMinor: 5, Currency: "NOK"}, payment.Captured{OrderID: "never", AmountMinor: 5})
		}, []string{"orders: order never" + notKnown + ": captured less refunded: 5 NOK, not 0"}},
		"a timer that has not fired": {func(x *apptest.Test) {
			x.Given("saga-checkout-old", sagas.Started{Saga: "checkout", Version: 1, ID: "old"}, sagas.StepScheduled{Step: "wait", Until: verifiedAt})
		}, []string{"sagas: saga-checkout-old: step wait: open, not an end by 2026-03-01T10:30:00Z"}},
		"what cannot be undone": {func(x *apptest.Test) {
			x.Given("saga-checkout-old", sagas.Started{Saga: "checkout", Version: 1, ID: "old"}, sagas.StepScheduled{Step: "pay"}, sagas.StepCompleted{Step: "pay"},
				sagas.CompensationScheduled{Step: "pay"}, sagas.CompensationFailed{Step: "pay", Code: "rejected", Error: "no"})
		}, []string{"sagas: saga-checkout-old: step pay: stuck: rejected no, not undone"}},
		"a step left open": {func(x *apptest.Test) {
			x.Given("saga-checkout-old", sagas.Started{Saga: "checkout", Version: 1, ID: "old"}, sagas.StepScheduled{Step: "pay"}, sagas.Ended{Status: sagas.Completed})
		}, []string{"sagas: saga-checkout-old: step pay: open, not closed, for the instance is completed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := checkedOut(t)
			c.plant(x)
			found := slices.DeleteFunc(verify(t, x), func(f string) bool { return strings.HasPrefix(f, "ledger: ") }) // nobody posts what is planted
			want(t, "found", found, c.want...)
		})
	}
}

// TestVerifyLeavesPeopleAlone: who confirms and ships orders by hand does it in an order of their own, but what is reserved for an order is
// not for one that is not delivered.
func TestVerifyLeavesPeopleAlone(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, shop.App())
	receiveCups(t, x)
	for _, id := range []string{"placed", "confirmed", "sent", "given-up"} {
		place(t, x, id, cups(2, 500))
		run(t, x, "stock.reserve", "CUP", stock.Reserve{SKU: "CUP", OrderID: id, Quantity: 1, At: verifiedAt})
	}
	for _, id := range []string{"confirmed", "sent"} {
		run(t, x, "order.confirm", id, order.Confirm{})
	}
	run(t, x, "stock.commit", "CUP", stock.Commit{SKU: "CUP", OrderID: "sent", Quantity: 1, At: verifiedAt})
	run(t, x, "order.ship", "sent", order.Ship{})
	run(t, x, "order.complete", "sent", order.Complete{At: verifiedAt})
	run(t, x, "return.accept", "r", returns.Accept{ID: "r", Country: "Norway", Currency: "NOK", Lines: cups(1, 500), At: verifiedAt})
	run(t, x, "order.cancel", "given-up", order.Cancel{Reason: "none left", At: verifiedAt})
	want(t, "found before it is released", verify(t, x), "orders: order given-up: reserved of CUP: 1, not 0")
	delivered(t, x)
	want(t, "found", verify(t, x))
}

// TestBooksThatDoNotBalance: what is posted for an order is what its payment says, and each transaction adds up.
func TestBooksThatDoNotBalance(t *testing.T) {
	t.Parallel()
	f := ledger.Invariant.New()
	at := int64(0)
	apply := func(events ...any) {
		for _, e := range events {
			at++
			f.Apply(e, &eventstore.RecordedEvent{Position: at, RecordedAt: verifiedAt})
		}
	}
	post := func(reason, account1 string, cards, other int64) account.Posted {
		return account.Posted{ID: fmt.Sprint(at), Currency: "EUR", Reason: reason, Entries: []account.Entry{{Account: ledger.Cards, AmountMinor: cards}, {Account: account1, AmountMinor: other}}}
	}
	apply(payment.Captured{OrderID: "1", AmountMinor: 500, Currency: "EUR"}, payment.Captured{OrderID: "2", AmountMinor: 700, Currency: "EUR"},
		post("captured for order 1", ledger.Sales, 500, -500), payment.Refunded{OrderID: "1", AmountMinor: 200, Currency: "EUR"}, post("refunded for order 1", ledger.Refunds, -200, 200))
	found := func() (all []string) {
		for u := range f.Unsettled() {
			all = append(all, fmt.Sprintf("%s %s: %s, not %s", u.Subject, u.What, u.Found, u.Expected))
		}
		slices.Sort(all)
		return all
	}
	if got, want := found(), []string{"order 2 posted to sales, EUR: 0, not 700"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	apply(post("captured for order 2", ledger.Sales, 700, -600))
	if got, want := found(), []string{"order 2 posted to sales, EUR: 600, not 700", "transaction 5 sum: 100, not 0"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
