package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/sagas"
)

// beginnings are the subscriptions by which each way hears of orders that are placed.
var beginnings = []struct{ way, subscription string }{
	{"orchestrated", sagas.TriggersName(Name)}, {"choreographed", Name + "-reserve"}, {"hybrid", sagas.TriggersName(HybridName)},
}

// OneWay is for app.App.Setup. It refuses a log on which another way begins with the orders that are placed: that would go on from where it was when it is
// chosen again, with orders that were checked out meanwhile.
func OneWay(ctx context.Context, s *app.Service) error {
	if s.Subscriptions == nil {
		return nil // in memory there is nothing of before
	}
	for _, b := range beginnings {
		if slices.ContainsFunc(s.App.Subscriptions(), func(own delivery.Subscription) bool {
			return own.Handler != nil && own.Handler.Name() == b.subscription
		}) {
			continue
		}
		_, err := s.Subscriptions.Get(ctx, b.subscription)
		switch {
		case err == nil:
			return fmt.Errorf("orders on this log are checked out %s: to have it otherwise wait until none is under way, and remove what hears of new ones: %s subscriptions delete %s",
				b.way, s.App.ProgramName(), b.subscription)
		case !errors.Is(err, delivery.ErrNotFound):
			return err
		}
	}
	return nil
}
