package apptest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

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

// TestMailsOfADefinition: a module declares a subscription that sends mails, with the templates in the program.
func TestMailsOfADefinition(t *testing.T) {
	t.Parallel()
	a, _ := jarsApp()
	a.Modules[0].Templates = fstest.MapFS{"coins.txt": {Data: []byte("There are coins in {{.stream}}.\n")}}
	a.Modules[0].Subscriptions = []delivery.Subscription{{Definition: delivery.Definition{Name: "coin-mails", Target: delivery.TargetConfig{
		Email: &delivery.EmailTarget{From: "jars@example.com", To: "ann@example.com", Template: delivery.MailTemplate{Subject: "Coins", Text: "coins.txt"}},
	}}}}
	for kind, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			x := run(t, a)
			x.Given("jar-ann", put{Coins: 1, At: at})
			if err := x.Deliver(); err != nil {
				t.Fatal(err)
			}
			if mails := x.Mails(); len(mails) != 1 || mails[0].Text != "There are coins in jar-ann.\n" || mails[0].Subject != "Coins" || mails[0].Copies != 1 {
				t.Errorf("mails are %+v", mails)
			}
		})
	}
}
