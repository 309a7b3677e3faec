package shop

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// generator makes valid requests of one route.
type generator struct {
	// weight is how often it is used, relative to the others.
	weight int
	// make returns a call, or false if there is nothing to send now.
	make func(*world) (wire.Call, bool)
	// route is the line of the index, parameters what that says it takes.
	route      string
	parameters []string
	// takes are the parameters and the members that it sends, those of members
	// behind a slash.
	takes string
}

const goodsMembers = dryRun + " at id customer_id country currency lines lines/sku lines/description lines/quantity lines/unit_price_minor "

// generators are those of the routes with a model, by the lines of the index. The others are
// derived from it.
func generators() map[string]generator {
	const options = "workers throttle memory_bytes verify keep key reason"
	all := map[string]generator{
		"POST /v1/orders":  {weight: 140, make: (*world).place, takes: goodsMembers + "placed_at email"},
		"POST /v1/returns": {weight: 40, make: (*world).takeBack, takes: goodsMembers + "returned_at"},

		"POST /v1/stock/{sku}/receive": {weight: 50, make: (*world).receive, takes: dryRun + " at quantity"},
		"POST /v1/stock/{sku}/adjust":  {weight: 40, make: (*world).adjust, takes: dryRun + " at delta reason"},
		"POST /v1/stock/{sku}/reserve": {weight: 40, make: (*world).reserve, takes: dryRun + " at order_id quantity"},
		"POST /v1/stock/{sku}/release": {weight: 30, make: settle("release"), takes: dryRun + " at order_id quantity"},
		"POST /v1/stock/{sku}/commit":  {weight: 30, make: settle("commit"), takes: dryRun + " at order_id quantity"},

		"GET /v1/orders":             {weight: 50, make: (*world).listOrders, takes: "customer status country day limit after consistency"},
		"GET /v1/orders/{id}":        {weight: 70, make: (*world).readOrder, takes: "as_of consistency"},
		"GET /v1/stock/{sku}":        {weight: 60, make: (*world).readStock, takes: "as_of consistency"},
		"GET /v1/customers/{id}":     {weight: 40, make: (*world).readCustomer, takes: "limit after consistency"},
		"GET /v1/sales":              {weight: 40, make: (*world).listSales, takes: "by from to sort limit after consistency"},
		"GET /v1/projections":        {weight: 2, make: (*world).readProjections, takes: "consistency"},
		"GET /v1/projections/{name}": {weight: 2, make: (*world).readProjection, takes: "consistency"},

		"POST /v1/projections/{name}/pause":  {weight: 1, make: steer("pause"), takes: "reason"},
		"POST /v1/projections/{name}/resume": {weight: 2, make: steer("resume"), takes: "reason"},
		"POST /v1/projections/{name}/skip":   {weight: 2, make: (*world).skip, takes: "position reason"},

		"GET /v1/operations/{id}":    {weight: 10, make: operation("GET"), takes: "consistency"},
		"DELETE /v1/operations/{id}": {weight: 4, make: operation("DELETE")},
		"GET /problems/{code}":       {weight: 3, make: readPage},
	}
	for _, s := range steps {
		takes := dryRun + " at"
		if s.name == "cancel" {
			takes += " reason"
		}
		all["POST /v1/orders/{id}/"+s.name] = generator{weight: 30, make: s.generate, takes: takes}
	}
	for _, kind := range []string{"rebuild", "rollback", "verify", "repair"} {
		all["POST /v1/projections/{name}/"+kind] = generator{weight: 1, make: operate(kind), takes: options}
	}
	return all
}

// cover returns a generator for each route, or what those with a model do not know of it.
func cover(index []wire.IndexRoute) (covered []generator, _ error) {
	known := generators()
	var faults []error
	for _, r := range index {
		g, ok := known[r.Name()]
		if !ok {
			g = generator{weight: 2, make: func(w *world) (wire.Call, bool) { return r.Call(w.Luck), true }}
		}
		delete(known, r.Name())
		g.route, g.parameters = r.Name(), r.Parameters
		covered = append(covered, g)
		for _, taken := range r.Takes() {
			if ok && !slices.Contains(strings.Fields(g.takes), taken) {
				faults = append(faults, fmt.Errorf("%s takes %s, which its generator does not send", g.route, taken))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		faults = append(faults, fmt.Errorf("%s is not in the index any more", name))
	}
	return covered, errors.Join(faults...)
}
