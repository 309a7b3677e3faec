// Bank is a service on package app: accounts, transfers between them, statements and daily totals.
// It has the whole command line of one:
//
//	go run ./examples/bank dev
package main

import (
	"net/http"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/examples/bank/accounts"
)

func main() { cli.Main(bank()) }

// bank returns the service.
func bank() app.App {
	return app.App{
		Name: "bank", Version: "0.1.0", Short: "An event-sourced bank on PostgreSQL",
		Modules: []app.Module{accounts.Module()},
		// Whoever is logged in, as the proxy in front of the bank says.
		Actor:       func(r *http.Request) (string, error) { return r.Header.Get("X-Forwarded-User"), nil },
		ActorHeader: "X-Forwarded-User",
	}
}
