package hostile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// generator makes valid requests of one route.
type generator struct {
	// weight is how often it is used, relative to the others.
	weight int
	// make returns a call, or false if there is nothing to send now.
	make func(*world) (call, bool)
	// takes are the parameters and the members that it sends, those of members
	// behind a slash.
	takes string
}

const goodsMembers = "at id customer_id country currency lines lines/sku lines/description lines/quantity lines/unit_price_minor "

// generators are those of the routes with a model, by the lines of the index. The others are derived
// from it.
func generators() map[string]generator {
	const options = "workers throttle memory_bytes verify keep key"
	all := map[string]generator{
		"POST /v1/orders":  {140, (*world).place, goodsMembers + "placed_at"},
		"POST /v1/returns": {40, (*world).takeBack, goodsMembers + "returned_at"},

		"POST /v1/stock/{sku}/receive": {50, (*world).receive, "at quantity"},
		"POST /v1/stock/{sku}/adjust":  {40, (*world).adjust, "at delta reason"},
		"POST /v1/stock/{sku}/reserve": {40, (*world).reserve, "at order_id quantity"},
		"POST /v1/stock/{sku}/release": {30, settle("release"), "at order_id quantity"},
		"POST /v1/stock/{sku}/commit":  {30, settle("commit"), "at order_id quantity"},

		"GET /v1/orders":             {50, (*world).listOrders, "customer status country day limit after consistency"},
		"GET /v1/orders/{id}":        {70, (*world).readOrder, "as_of consistency"},
		"GET /v1/stock/{sku}":        {60, (*world).readStock, "as_of consistency"},
		"GET /v1/customers/{id}":     {40, (*world).readCustomer, "limit after consistency"},
		"GET /v1/sales":              {40, (*world).listSales, "by from to sort limit after consistency"},
		"GET /v1/projections":        {2, (*world).readProjections, "consistency"},
		"GET /v1/projections/{name}": {2, (*world).readProjection, "consistency"},

		"POST /v1/projections/{name}/pause":  {1, steer("pause"), ""},
		"POST /v1/projections/{name}/resume": {2, steer("resume"), ""},
		"POST /v1/projections/{name}/skip":   {2, (*world).skip, "position reason"},

		"GET /v1/operations/{id}":    {10, operation("GET"), "consistency"},
		"DELETE /v1/operations/{id}": {4, operation("DELETE"), ""},
		"GET /problems/{code}":       {3, readPage, ""},
	}
	for _, s := range steps {
		takes := "at"
		if s.name == "cancel" {
			takes = "at reason"
		}
		all["POST /v1/orders/{id}/"+s.name] = generator{30, s.generate, takes}
	}
	for _, kind := range []string{"rebuild", "rollback", "verify", "repair"} {
		all["POST /v1/projections/{name}/"+kind] = generator{1, operate(kind), options}
	}
	return all
}

// indexRoute is a line of what GET / answers.
type indexRoute struct {
	Method     string        `json:"method"`
	Path       string        `json:"path"`
	Parameters []string      `json:"parameters"`
	Body       []indexMember `json:"body"`
}

type indexMember struct {
	Name    string        `json:"name"`
	Type    string        `json:"type"`
	Members []indexMember `json:"members"`
}

// cover returns a generator for each route, or what those with a model do not know of it.
func cover(index []indexRoute) (map[string]generator, error) {
	known, covered := generators(), make(map[string]generator)
	var faults []error
	for _, r := range index {
		name := r.Method + " " + r.Path
		g, ok := known[name]
		switch {
		case ok:
			delete(known, name)
		case r.Method == "GET" && !strings.Contains(r.Path, "{"):
			covered[name] = generator{weight: 2, make: plain(r.Path)}
			continue
		default:
			covered[name] = generator{weight: 2, make: derived(r)}
			continue
		}
		covered[name] = g
		for _, taken := range slices.Concat(r.Parameters, memberNames("", r.Body)) {
			if !slices.Contains(strings.Fields(g.takes), taken) {
				faults = append(faults, fmt.Errorf("%s takes %s, which its generator does not send", name, taken))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		faults = append(faults, fmt.Errorf("%s is not in the index any more", name))
	}
	return covered, errors.Join(faults...)
}

func memberNames(within string, list []indexMember) (names []string) {
	for _, m := range list {
		names = append(append(names, within+m.Name), memberNames(within+m.Name+"/", m.Members)...)
	}
	return names
}
