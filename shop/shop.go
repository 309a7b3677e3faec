package shop

import (
	"context"
	"fmt"
	"slices"

	"github.com/rs/zerolog"

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

	snapshots []commands.SnapshotSource
}

// The categories of the streams.
const (
	categoryOrder  = "order"
	categoryStock  = "stock"
	categoryReturn = "return"
)

// defaultSnapshotEvery is for the streams that get long: every line of every
// order adds to the stock of its article. An order has five events at most.
var defaultSnapshotEvery = map[string]int{categoryStock: 100}

// Config says how a Shop works. The zero value works.
type Config struct {
	// Snapshots are where loading a long stream begins. Default: none.
	Snapshots commands.SnapshotStore
	// SnapshotEvery is how many events of a stream there are from one snapshot
	// to the next, by category: order, stock or return. 0 is for none. Default,
	// for those that are not named: 100 for stock, none for the others.
	SnapshotEvery map[string]int
	// Logger gets warnings about snapshots that are of no use. Default: none.
	Logger zerolog.Logger
	// Observe is told of every command that was run, by many goroutines at once.
	// Default: nobody.
	Observe func(commands.Observation)
}

// New returns the shop whose events are in store, written with the codec of
// NewCodec.
func New(store eventstore.Store, codec *eventstore.Codec, c Config) (*Shop, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var s Shop
	var err error
	if s.Orders, err = commands.NewHandler[order.Order, order.Event](store, codec, c.handler(categoryOrder)); err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	if s.Stock, err = commands.NewHandler[stock.Stock, stock.Event](store, codec, c.handler(categoryStock)); err != nil {
		return nil, fmt.Errorf("stock: %w", err)
	}
	if s.Returns, err = commands.NewHandler[returns.Return, returns.Event](store, codec, c.handler(categoryReturn)); err != nil {
		return nil, fmt.Errorf("returns: %w", err)
	}
	for _, source := range []commands.SnapshotSource{s.Orders.SnapshotSource(), s.Stock.SnapshotSource(), s.Returns.SnapshotSource()} {
		if c.every(source.Category()) > 0 {
			s.snapshots = append(s.snapshots, source)
		}
	}
	return &s, nil
}

func (c Config) check() error {
	for category, n := range c.SnapshotEvery {
		switch {
		case !slices.Contains(Categories(), category):
			return &eventstore.InvalidError{Field: "snapshots", Reason: fmt.Sprintf("are for order, stock and return, not for %q", category)}
		case n < 0:
			return &eventstore.InvalidError{Field: "snapshots", Reason: fmt.Sprintf("of %s cannot be every %d events; 0 is for none", category, n)}
		}
	}
	return nil
}

// every returns how many events there are between two snapshots; 0: there are
// none.
func (c Config) every(category string) int {
	if n, ok := c.SnapshotEvery[category]; ok {
		return n
	}
	return defaultSnapshotEvery[category]
}

// handler returns the configuration of a category's handler. The version of a
// state is raised with every change of its type or of what its events do to it.
func (c Config) handler(category string) commands.Config {
	h := commands.Config{Category: category, Logger: c.Logger, Observe: c.Observe}
	if n := c.every(category); n > 0 {
		h.Snapshots = commands.SnapshotConfig{Store: c.Snapshots, SchemaVersion: 1, Every: n}
	}
	return h
}

// SnapshotSources returns what makes the snapshots of the categories that have
// them.
func (s *Shop) SnapshotSources() []commands.SnapshotSource { return s.snapshots }

// Categories are those of the shop's streams.
func Categories() []string { return []string{categoryOrder, categoryStock, categoryReturn} }

// Projections returns the shop's read models, for a projections.Runner.
func Projections() []projections.Projection {
	return []projections.Projection{orders, stockLevels, customerHistory, salesByCountry, salesBySKU}
}

// State returns the state that commands on a stream decide from, as of a moment,
// and its version: -1 if the stream did not exist then. It is an order.Order, a
// stock.Stock or a returns.Return; a stream of another category is an
// *eventstore.InvalidError. Other errors are those of commands.Handler.LoadAt.
func (s *Shop) State(ctx context.Context, stream string, at commands.Moment) (state any, version int64, err error) {
	switch category := eventstore.Category(stream); category {
	case categoryOrder:
		return stateAt(ctx, s.Orders, stream, at)
	case categoryStock:
		return stateAt(ctx, s.Stock, stream, at)
	case categoryReturn:
		return stateAt(ctx, s.Returns, stream, at)
	default:
		return nil, -1, &eventstore.InvalidError{Field: "stream",
			Reason: fmt.Sprintf("must be of category order, stock or return to have a state, it is of %q", category)}
	}
}

func stateAt[S any, E commands.Event[S]](ctx context.Context, h *commands.Handler[S, E], stream string, at commands.Moment) (any, int64, error) {
	return h.LoadAt(ctx, eventstore.StreamID(stream), at)
}
