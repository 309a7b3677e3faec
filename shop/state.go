package shop

import (
	"context"
	"fmt"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
)

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
