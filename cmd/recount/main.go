// Recount runs the shop, an event-sourced service on PostgreSQL, and looks after it. `recount
// --help` lists its commands.
package main

import (
	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/app/cli/archivecli"
	"github.com/57528e99/recount/app/scaffold"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/shopcli"
	"github.com/57528e99/recount/tests/bench/benchcli"
)

func main() {
	cli.Main(theShop(), shopcli.Extension(), archivecli.Extension(), scaffold.Extension(), benchcli.Extension())
}

// theShop is the shop with all targets that there are.
func theShop() app.App {
	a := shop.App()
	a.Targets = map[string]func(*app.Service, delivery.Definition) (delivery.Target, error){
		delivery.KindGather: app.Gather, delivery.KindArchive: archivecli.Target,
	}
	return a
}
