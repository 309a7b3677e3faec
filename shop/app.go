package shop

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/shop/checkout"
	"github.com/57528e99/recount/shop/inventory"
	"github.com/57528e99/recount/shop/ledger"
	"github.com/57528e99/recount/shop/notification"
	"github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/shipping"
)

// The categories of the streams. Names of events, in the modules, and versions are those in the
// log: a name stays for ever, and a change of what is in an event is a new version with an upcaster
// from the one before.
const (
	categoryOrder       = "order"
	categoryStock       = "stock"
	categoryReservation = "reservation"
	categoryReturn      = "return"
	categoryCustomer    = "customer"
)

// App returns the shop: what there is, in the manner of a table of contents.
func App() app.App { return appWith() }

// appWith is App, with what orders are confirmed and shipped by, see ordersModule.
func appWith(steps ...app.CommandOption) app.App {
	return app.App{
		Name: "shop", Program: "recount", Short: "An event-sourced shop on PostgreSQL",
		Modules: []app.Module{
			ordersModule(steps...), stockModule(), returnsModule(), customersModule(), salesModule(),
			payment.Module(), shipping.Module(),
			// What reacts to their events, and knows nothing else of them.
			notification.Module(), inventory.Module(), ledger.Module(),
		},
		Welcome: welcome,
	}
}

// welcome says what to try: lines that can be copied as they are. The id is new each time, so they
// work as often as the server is started.
func welcome(at app.Running) string {
	id := "try-" + strings.ToLower(rand.Text()[:6])
	order := `{"id":"` + id + `","customer_id":"ann","email":"ann@example.com","country":"Norway","currency":"NOK",` +
		`"lines":[{"sku":"TEA-1","description":"Green tea","quantity":2,"unit_price_minor":4500}]}`
	return fmt.Sprintf(`Place an order, and see it in the log, in two read models, and in the mail to its customer:

  curl %[1]s/v1/orders -H 'Content-Type: application/json' -d '%[2]s'
  %[3]s streams show order-%[4]s%[5]s
  curl %[1]s/v1/orders/%[4]s
  curl '%[1]s/v1/sales?by=country'
  curl %[1]s/dev/inbox
`, at.URL, order, at.Program, id, at.Flags)
}

// WithCheckout returns the shop with a module that checks orders out, see package checkout, which alone confirms and ships them then: there are no
// routes for that. Without one, orders wait for somebody to confirm them.
func WithCheckout(m app.Module) app.App {
	a := appWith(app.Internal)
	a.Modules, a.Setup = append(a.Modules, m), checkout.OneWay
	return a
}

// WelcomeToCheckout returns what to try of a shop that checks orders out, by sagas or not.
func WelcomeToCheckout(bySagas bool) func(app.Running) string {
	look := "subscriptions"
	if bySagas {
		look = "sagas"
	}
	return func(at app.Running) string {
		return fmt.Sprintf(`Fill the shelf, for what is not there is not sold, and an order that cannot be checked out is cancelled:

  curl %[1]s/v1/stock/TEA-1/receive -H 'Content-Type: application/json' -d '{"quantity":1000}'

`, at.URL) + welcome(at) + fmt.Sprintf(`  %s %s ls%s
`, at.Program, look, at.Flags)
	}
}
