package shop

import (
	"cmp"
	"net/url"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
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
