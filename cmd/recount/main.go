// Recount runs the shop, an event-sourced service on PostgreSQL, and looks after it. `recount
// --help` lists its commands.
package main

import (
	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/app/cli/archivecli"
	"github.com/57528e99/recount/app/scaffold"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/shopcli"
	"github.com/57528e99/recount/tests/bench/benchcli"
)

func main() {
	cli.Main(theShop(), shopcli.Extension(), archivecli.Extension(), scaffold.Extension(), benchcli.Extension(), inboxes())
}

// theShop is the shop with all targets that there are.
func theShop() app.App {
	a := shop.App()
	a.Targets = targets()
	return a
}
