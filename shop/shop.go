package shop

import (
	"fmt"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// Shop runs the commands of the shop. It is safe for concurrent use and has
// nothing to close.
type Shop struct {
	// Orders are the streams order-{id}.
	Orders *commands.Handler[order.Order, order.Event]
	// Stock are the streams stock-{sku}: one for each article.
	Stock *commands.Handler[stock.Stock, stock.Event]
	// Returns are the streams return-{id}.
	Returns *commands.Handler[returns.Return, returns.Event]
}

// New returns the shop whose events are in store, written with the codec of
// NewCodec.
func New(store eventstore.Store, codec *eventstore.Codec) (*Shop, error) {
	var s Shop
	var err error
	if s.Orders, err = commands.NewHandler[order.Order, order.Event](store, codec, commands.Config{Category: "order"}); err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	if s.Stock, err = commands.NewHandler[stock.Stock, stock.Event](store, codec, commands.Config{Category: "stock"}); err != nil {
		return nil, fmt.Errorf("stock: %w", err)
	}
	if s.Returns, err = commands.NewHandler[returns.Return, returns.Event](store, codec, commands.Config{Category: "return"}); err != nil {
		return nil, fmt.Errorf("returns: %w", err)
	}
	return &s, nil
}

// Projections returns the shop's read models, for a projections.Runner.
func Projections() []projections.Projection {
	return []projections.Projection{orders, stockLevels, customerHistory, salesByCountry, salesBySKU}
}
