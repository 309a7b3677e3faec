package shop

import (
	_ "embed"
	"slices"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/shop/analytics"
)

// flow has subscriptions that route orders by what is in them, enrich, and count them. recount apply takes the file as it is.
//
//go:embed flow.json
var flow []byte

// WithFlow returns a shop with the subscriptions of flow.json, and with a read model of what orders come to per minute.
func WithFlow(a app.App) (app.App, error) {
	all, err := delivery.ParseDefinitions(flow)
	if err != nil {
		return a, err
	}
	m := analytics.Module()
	for _, d := range all {
		m.Subscriptions = append(m.Subscriptions, delivery.Subscription{Definition: d})
	}
	a.Modules = append(slices.Clip(a.Modules), m)
	return a, nil
}
