package shop

import (
	"context"
	"errors"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
)

type stockCommand = commands.Command[stock.Stock, stock.Event]

type receiveBody struct {
	atBody
	Quantity int64 `json:"quantity"`
}

func receive(sku string, b receiveBody, at time.Time) stockCommand {
	return stock.Receive{SKU: sku, Quantity: b.Quantity, At: at}
}

type adjustBody struct {
	atBody
	Delta  int64  `json:"delta"`
	Reason string `json:"reason"`
}

func adjust(sku string, b adjustBody, at time.Time) stockCommand {
	return stock.Adjust{SKU: sku, Delta: b.Delta, Reason: b.Reason, At: at}
}

// reservationBody is that of reserve, release and commit.
type reservationBody struct {
	atBody
	OrderID  string `json:"order_id"`
	Quantity int64  `json:"quantity"`
}

func reserve(sku string, b reservationBody, at time.Time) stockCommand {
	return stock.Reserve{SKU: sku, OrderID: b.OrderID, Quantity: b.Quantity, At: at}
}

func release(sku string, b reservationBody, at time.Time) stockCommand {
	return stock.Release{SKU: sku, OrderID: b.OrderID, Quantity: b.Quantity, At: at}
}

func commit(sku string, b reservationBody, at time.Time) stockCommand {
	return stock.Commit{SKU: sku, OrderID: b.OrderID, Quantity: b.Quantity, At: at}
}

// pathSKU returns the article code in the path. The domain checks it too, but
// would blame a member of the body.
func pathSKU[B any](in httpapi.CommandRequest[B]) (string, error) {
	sku := in.Path("sku")
	var invalid *goods.InvalidError
	if errors.As(goods.CheckSKU("/sku", sku), &invalid) {
		problem := kindInvalidInput.Problem("{sku} in the path " + invalid.Reason + ".")
		problem.Errors = []httpapi.FieldError{{Parameter: "sku", Detail: invalid.Reason}}
		return "", problem
	}
	return sku, nil
}

// stockView is the stock of an article as it is read.
type stockView struct {
	SKU       string `json:"sku"`
	OnHand    int64  `json:"on_hand"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
	version   int64
}

// StreamVersion implements httpapi.Versioned.
func (s stockView) StreamVersion() int64 { return s.version }

func (r reads) stock(ctx context.Context, in httpapi.ReadRequest[*projections.Moment]) (stockView, error) {
	sku := in.Path("sku")
	row, err := rowOf(ctx, r, stockLevels, categoryStock, sku, in)
	return stockView{sku, row.OnHand, row.Reserved, row.OnHand - row.Reserved, row.Version}, err
}
