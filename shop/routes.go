package shop

import (
	"context"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// Register adds the shop's routes to an API, which was made with Problems.
// Reader answers the reads, and history those of the past.
//
// Lists are pages of at most limit items, with a cursor for the parameter after.
// Orders and the history of a customer are newest first. Sales can be sorted by
// any member of their rows but the currency, e.g. sort=units, or sort=-units for
// the best sellers first; without sort they are in the order of what they are
// summed by.
func (s *Shop) Register(a *httpapi.API, reader *queries.Reader, history *projections.History) {
	var body httpapi.CommandOptions
	optionalBody := httpapi.CommandOptions{OptionalBody: true}
	created := httpapi.CommandOptions{Location: orderLocation}

	httpapi.Command(a, "POST", "/v1/orders", created, command(s.Orders, newOrderID, place))
	httpapi.Command(a, "POST", "/v1/orders/{id}/confirm", optionalBody, command(s.Orders, orderID, confirm))
	httpapi.Command(a, "POST", "/v1/orders/{id}/ship", optionalBody, command(s.Orders, orderID, ship))
	httpapi.Command(a, "POST", "/v1/orders/{id}/complete", optionalBody, command(s.Orders, orderID, complete))
	httpapi.Command(a, "POST", "/v1/orders/{id}/cancel", body, command(s.Orders, orderID, cancel))

	httpapi.Command(a, "POST", "/v1/stock/{sku}/receive", body, command(s.Stock, pathSKU, receive))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/adjust", body, command(s.Stock, pathSKU, adjust))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/reserve", body, command(s.Stock, pathSKU, reserve))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/release", body, command(s.Stock, pathSKU, release))
	httpapi.Command(a, "POST", "/v1/stock/{sku}/commit", body, command(s.Stock, pathSKU, commit))

	httpapi.Command(a, "POST", "/v1/returns", body, command(s.Returns, newReturnID, accept))

	r := reads{reader, history}
	// ?customer=&status=&country=&day=&limit=&after=
	httpapi.Read(a, "/v1/orders", orderQueryOf, r.orders)
	// ?as_of=
	httpapi.Read(a, "/v1/orders/{id}", asOf, r.order)
	httpapi.Read(a, "/v1/stock/{sku}", asOf, r.stock)
	// ?limit=&after=
	httpapi.Read(a, "/v1/customers/{id}", historyPageOf, r.customer)
	// ?by=day|country|sku&from=&to=&sort=&limit=&after=
	httpapi.Read(a, "/v1/sales", salesQueryOf, r.sales)
}

// reads answers the reads.
type reads struct {
	reader  *queries.Reader
	history *projections.History
}

// timed is the body of every command.
type timed interface {
	// businessTime is when it happened, if the client says so.
	businessTime() httpapi.Time
}

// atBody is the part that all bodies share.
type atBody struct {
	At httpapi.Time `json:"at"`
}

func (b atBody) businessTime() httpapi.Time { return b.At }

// command returns what runs a command that came over HTTP. Id says which
// aggregate it is for, build what it asks of it.
func command[S any, E commands.Event[S], B timed](
	handler *commands.Handler[S, E],
	id func(httpapi.CommandRequest[B]) (string, error),
	build func(id string, body B, at time.Time) commands.Command[S, E],
) func(context.Context, httpapi.CommandRequest[B]) (commands.Result, error) {
	return func(ctx context.Context, in httpapi.CommandRequest[B]) (commands.Result, error) {
		key, err := id(in)
		if err != nil {
			return commands.Result{}, err
		}
		in.Options.At = in.Body.businessTime().Or(in.Now)
		return handler.Handle(ctx, key, build(key, in.Body, in.Options.At), in.Options)
	}
}
