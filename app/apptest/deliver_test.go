package apptest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
)

// TestDeliver hands events to handlers, in memory and by the runner on PostgreSQL, and says what one returned.
func TestDeliver(t *testing.T) {
	t.Parallel()
	for kind, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var coins atomic.Int64
			a, _ := jarsApp()
			a.Modules[0].Subscriptions = []delivery.Subscription{{
				Handler: delivery.Handle("count-coins", func(_ context.Context, e put, _ delivery.Event) error {
					if e.Coins == 11 {
						return errors.New("an unlucky number")
					}
					coins.Add(e.Coins)
					return nil
				}),
			}}
			x := run(t, a)
			for _, n := range []int64{1, 2, 3} {
				x.Given("jar-ann", put{Coins: n, At: at})
			}
			if err := x.Deliver(); err != nil || coins.Load() != 6 {
				t.Errorf("Deliver = %v with %d coins, want 6", err, coins.Load())
			}
			x.Given("jar-ann", put{Coins: 11, At: at})
			for range 2 {
				if err := x.Deliver(); err == nil || !strings.Contains(err.Error(), "an unlucky number") {
					t.Errorf("Deliver = %v, want what the handler returned", err)
				}
			}
		})
	}
}
