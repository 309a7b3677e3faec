package shop

import (
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// Register adds the shop's routes to an API, which was made with Problems.
// Reader answers the reads, history those of the past, and admin says how the
// projections are.
func (s *Shop) Register(a *httpapi.API, reader *queries.Reader, history *projections.History, admin *projections.Admin) {
	bodyless := httpapi.CommandOptions{OptionalBody: true}
	with := httpapi.CommandOptions{}

	httpapi.Command(a, "POST", "/v1/orders", httpapi.CommandOptions{Location: orderLocation}, command(s.Orders, newOrderID, place))
	httpapi.Command(a, "POST", "/v1/orders/{id}/confirm", bodyless, command(s.Orders, orderID, confirm))
	httpapi.Command(a, "POST", "/v1/orders/{id}/ship", bodyless, command(s.Orders, orderID, ship))
	httpapi.Command(a, "POST", "/v1/orders/{id}/complete", bodyless, command(s.Orders, orderID, complete))
	httpapi.Command(a, "POST", "/v1/orders/{id}/cancel", with, command(s.Orders, orderID, cancel))

	httpapi.Command(a, "POST", "/v1/stock/{sku}/receive", with, command(s.Stock, pathSKU, receive))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/adjust", with, command(s.Stock, pathSKU, adjust))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/reserve", with, command(s.Stock, pathSKU, reserve))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/release", with, command(s.Stock, pathSKU, release))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/commit", with, command(s.Stock, pathSKU, commit))

	httpapi.Command(a, "POST", "/v1/returns", with, command(s.Returns, newReturnID, accept))

	r := reads{reader, history, admin}
	httpapi.Read(a, "/v1/orders", orderFilterOf, r.orders)
	httpapi.Read(a, "/v1/orders/{id}", asOf, r.order)
	httpapi.Read(a, "/v1/stock/{sku}", asOf, r.stock)
	httpapi.Read(a, "/v1/customers/{id}", historyPageOf, r.customer)
	httpapi.Read(a, "/v1/sales", salesQueryOf, r.sales)
	httpapi.Read(a, "/v1/projections", httpapi.NoParams, r.projections)
	r.operations(a)
}

// reads answers the reads.
type reads struct {
	reader  *queries.Reader
	history *projections.History
	admin   *projections.Admin
}
