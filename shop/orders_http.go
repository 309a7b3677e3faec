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

const (
	defaultOrders = 50
	maxOrders     = 100
)

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
		limit: p.Limit(defaultOrders, maxOrders),
		after: p.Text("after"),
	}
}

// orderPlace is the place of an order in every list of orders.
type orderPlace struct {
	PlacedAt time.Time
	ID       string
}

func (r reads) orders(ctx context.Context, in httpapi.ReadRequest[orderQuery]) (page httpapi.Page[orderView], err error) {
	q := in.Params
	var after *orderPlace
	if q.after != "" {
		after = new(orderPlace)
		if err := queries.ParseCursor(q.after, q.orderFilter, after); err != nil {
			return page, err
		}
	}
	// One more tells whether there is a next page.
	page.Items, err = r.findOrders(ctx, in.Token, q.orderFilter, after, q.limit+1)
	if err != nil || len(page.Items) <= q.limit {
		return page, err
	}
	page.Items = page.Items[:q.limit]
	last := page.Items[q.limit-1]
	next, err := queries.NewCursor(q.orderFilter, orderPlace{last.PlacedAt, last.ID})
	page.Next = httpapi.Cursor(next)
	return page, err
}

// findOrders returns orders from behind a place, newest first; of equally old
// ones the one with the highest id.
func (r reads) findOrders(ctx context.Context, token eventstore.Token, f orderFilter, after *orderPlace, limit int) ([]orderView, error) {
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
	if after != nil {
		add("(placed_at, id) < (?, ?)", after.PlacedAt, after.ID)
	}
	args = append(args, limit)
	sql := `SELECT id, customer_id, country, currency, lines, placed_at, status, total_minor, version FROM {orders}`
	if len(where) > 0 {
		sql += ` WHERE ` + strings.Join(where, ` AND `)
	}
	sql += fmt.Sprintf(` ORDER BY placed_at DESC, id DESC LIMIT $%d`, len(args))
	return queries.SQL[orderView](ctx, r.reader, token, sql, args...)
}
