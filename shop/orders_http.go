package shop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/shop/invariants"
)

// orderStreams are the streams order-{id}.
var orderStreams = app.NewAggregate[order.Order, order.Event](categoryOrder, "/v1/orders")

// ordersModule has the streams order-{id}, and a read model of them. Who is to confirm and ship orders is said by steps: app.Internal leaves it to a
// checkout, without it people do.
func ordersModule(steps ...app.CommandOption) app.Module {
	return app.Module{
		Name: "orders",
		Aggregates: []app.Aggregate{orderStreams.
			Events(
				app.Event[order.Placed]("OrderPlaced", 2, eventstore.Upcast(1, placedFromV1)),
				app.Event[order.Confirmed]("OrderConfirmed", 1),
				app.Event[order.Shipped]("OrderShipped", 1),
				app.Event[order.Completed]("OrderCompleted", 1),
				app.Event[order.Cancelled]("OrderCancelled", 1)).
			Commands(
				app.Create[order.Place]("place", app.Body(place)),
				app.Do[order.Confirm]("confirm", append(steps, app.Body(confirm), app.OptionalBody)...),
				app.Do[order.Ship]("ship", append(steps, app.Body(ship), app.OptionalBody)...),
				app.Do[order.Complete]("complete", app.Body(complete), app.OptionalBody),
				app.Do[order.Cancel]("cancel", app.Body(cancel)),
				app.Do[order.Abandon]("abandon", app.Internal)).
			// There are none, but who makes some makes others than before there were addresses.
			Snapshots(0, 2)},
		Projections: []projections.Projection{orders},
		Invariants:  []app.Invariant{invariants.Orders},
		Routes: func(s *app.Service, a *httpapi.API) {
			// ?customer=&status=&country=&day=&limit=&after=
			httpapi.Read(a, "/v1/orders", orderQueryOf, reads{s}.orders)
			a.Access(httpapi.Access{Category: categoryOrder})
			// ?as_of=
			httpapi.Read(a, "/v1/orders/{id}", asOf, reads{s}.order)
			a.Access(httpapi.Access{Stream: categoryOrder + "-{id}"})
			// ?limit=&scan=
			httpapi.Read(a, "/v1/orders/{id}/flow", adminapi.FlowQueryOf, reads{s}.flow)
		},
		Problems: []httpapi.DomainProblem{
			{Err: goods.ErrInvalid, Kind: kindInvalidInput},
			{Err: order.ErrNotPlaced, Kind: kindOrderNotFound},
			{Err: order.ErrAlreadyPlaced, Kind: kindOrderExists},
			{Err: order.ErrTransition, Kind: kindOrderStatus},
		},
	}
}

type placeBody struct {
	goodsBody
	// PlacedAt is another name of At: that of an order as it is read.
	PlacedAt httpapi.Time `json:"placed_at"`
	// Email is where mails about the order go. It is null or left out if nobody is to be told.
	Email *string `json:"email"`
}

// Validate implements httpapi.Validator.
func (b placeBody) Validate() error {
	return b.sameTime("placed_at", b.PlacedAt)
}

func place(r *app.Request, b placeBody) (order.Place, error) {
	if err := b.request(r, b.PlacedAt); err != nil {
		return order.Place{}, err
	}
	return order.Place{ID: r.ID, CustomerID: b.CustomerID, Email: b.Email, Country: b.Country, Currency: b.Currency, Lines: b.goodsLines(), At: r.At}, nil
}

// placedV1 is order.Placed before there were addresses.
type placedV1 struct {
	ID         string       `json:"id"`
	CustomerID *string      `json:"customer_id"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	TotalMinor int64        `json:"total_minor"`
	At         time.Time    `json:"placed_at"`
}

func placedFromV1(e placedV1) (order.Placed, error) {
	return order.Placed{ID: e.ID, CustomerID: e.CustomerID, Country: e.Country, Currency: e.Currency, Lines: e.Lines, TotalMinor: e.TotalMinor, At: e.At}, nil
}

func confirm(r *app.Request, b atBody) (order.Confirm, error) {
	b.request(r)
	return order.Confirm{At: r.At}, checkOrderID(r)
}

func ship(r *app.Request, b atBody) (order.Ship, error) {
	b.request(r)
	return order.Ship{At: r.At}, checkOrderID(r)
}

func complete(r *app.Request, b atBody) (order.Complete, error) {
	b.request(r)
	return order.Complete{At: r.At}, checkOrderID(r)
}

type cancelBody struct {
	atBody
	Reason string `json:"reason" http:"required"`
}

func cancel(r *app.Request, b cancelBody) (order.Cancel, error) {
	b.request(r)
	return order.Cancel{Reason: b.Reason, At: r.At}, checkOrderID(r)
}

// checkOrderID: an id that no order can have is one of an order that does not exist.
func checkOrderID(r *app.Request) error {
	if goods.CheckID("/id", r.ID) != nil {
		return order.ErrNotPlaced
	}
	return nil
}

// orderView is an order as it is read.
type orderView struct {
	ID string `json:"id"`
	orderRow
}

// StreamVersion implements httpapi.Versioned.
func (o orderView) StreamVersion() int64 { return o.Version }

func (r reads) order(ctx context.Context, in httpapi.ReadRequest[*projections.Moment]) (orderView, error) {
	row, err := rowOf(ctx, r, orders, categoryOrder, in.Path("id"), in)
	return orderView{in.Path("id"), row}, err
}

// flow answers with all that happened since an order was placed, because of it or about it.
func (r reads) flow(ctx context.Context, in httpapi.ReadRequest[queries.TraceQuery]) (queries.Traced, error) {
	q := in.Params
	q.Stream = categoryOrder + "-" + in.Path("id")
	flow, err := r.Trace(ctx, q)
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		err = queries.ErrNotFound
	}
	return flow, err
}

// maxOrders is how many orders a page may have.
const maxOrders = 100

// orderFilter says which orders to list. An empty field is no filter.
type orderFilter struct {
	Customer, Status, Country string
	Day                       time.Time
}

// orderQuery is a page of a list of orders.
type orderQuery struct {
	orderFilter
	limit int
	after string
}

func orderQueryOf(p *httpapi.Params) orderQuery {
	presentOnly(p)
	return orderQuery{
		orderFilter: orderFilter{
			Customer: p.Text("customer"),
			Status: p.OneOf("status", "", string(order.StatusPlaced), string(order.StatusConfirmed),
				string(order.StatusShipped), string(order.StatusCompleted), string(order.StatusCancelled)),
			Country: p.Text("country"),
			Day:     p.Day("day"),
		},
		limit: p.Limit(queries.DefaultLimit, maxOrders),
		after: p.Cursor("after"),
	}
}

func (r reads) orders(ctx context.Context, in httpapi.ReadRequest[orderQuery]) (page httpapi.Page[orderView], err error) {
	sql, args := in.Params.sql()
	rows, next, err := queries.SQLPage[orderView](ctx, r.Reader, queries.SQLList{
		SQL: sql, Args: args, OrderBy: []string{"placed_at", "id"}, Desc: true,
		Limit: in.Params.limit, Cursor: in.Params.after, Token: in.Token,
	})
	return httpapi.Page[orderView]{Items: rows, Next: httpapi.Cursor(next)}, err
}

// sql returns the statement for the orders.
func (f orderFilter) sql() (string, []any) {
	var where []string
	var args []any
	add := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		where = append(where, condition)
	}
	if f.Customer != "" {
		add("customer_id = ?", f.Customer)
	}
	if f.Status != "" {
		add("status = ?", f.Status)
	}
	if f.Country != "" {
		add("country = ?", f.Country)
	}
	if !f.Day.IsZero() {
		add("placed_at >= ? AND placed_at < ?", f.Day, f.Day.AddDate(0, 0, 1))
	}
	sql := `SELECT id, customer_id, country, currency, lines, placed_at, status, total_minor, version FROM {orders}`
	if len(where) > 0 {
		sql += ` WHERE ` + strings.Join(where, ` AND `)
	}
	return sql, args
}
