package shop

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

type orderCommand = commands.Command[order.Order, order.Event]

type placeBody struct {
	goodsBody
	// PlacedAt is another name of At: that of an order as it is read.
	PlacedAt httpapi.Time `json:"placed_at"`
}

// Validate implements httpapi.Validator.
func (b placeBody) Validate() error {
	return cmp.Or(b.validate(), b.sameTime("placed_at", b.PlacedAt))
}

func (b placeBody) businessTime() httpapi.Time { return cmp.Or(b.At, b.PlacedAt) }

func place(id string, b placeBody, at time.Time) orderCommand {
	return order.Place{ID: id, CustomerID: b.CustomerID, Country: b.Country, Currency: b.Currency, Lines: b.goodsLines(), At: at}
}

func newOrderID(in httpapi.CommandRequest[placeBody]) (string, error) { return in.Body.idOrNew() }

func orderLocation(r commands.Result) string {
	return "/v1/orders/" + url.PathEscape(eventstore.StreamID(r.Stream))
}

func confirm(_ string, _ atBody, at time.Time) orderCommand { return order.Confirm{At: at} }

func ship(_ string, _ atBody, at time.Time) orderCommand { return order.Ship{At: at} }

func complete(_ string, _ atBody, at time.Time) orderCommand { return order.Complete{At: at} }

type cancelBody struct {
	atBody
	Reason string `json:"reason"`
}

func cancel(_ string, b cancelBody, at time.Time) orderCommand {
	return order.Cancel{Reason: b.Reason, At: at}
}

// orderID returns the order's id in the path. An id that no order can have is
// one of an order that does not exist.
func orderID[B any](in httpapi.CommandRequest[B]) (string, error) {
	id := in.Path("id")
	if goods.CheckID("/id", id) != nil {
		return "", order.ErrNotPlaced
	}
	return id, nil
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
		after: p.Text("after"),
	}
}

func (r reads) orders(ctx context.Context, in httpapi.ReadRequest[orderQuery]) (page httpapi.Page[orderView], err error) {
	sql, args := in.Params.sql()
	rows, next, err := queries.SQLPage[orderView](ctx, r.reader, queries.SQLList{
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
