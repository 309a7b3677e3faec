// Package analytics keeps orders and revenue per minute, by currency. A subscription counts orders in windows of the time at which they were placed,
// analytics-minutes of shop/flow.json; this is a read model of what its windows say when they close.
package analytics

import (
	"context"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// category is that of the streams of closings.
const category = "minutes"

// Module has the closings of windows, in the streams minutes-{currency}, and what is read of them.
func Module() app.Module {
	minutes := newMinutes()
	return app.Module{
		Name:        "analytics",
		Aggregates:  []app.Aggregate{app.NewAggregate[closings, Counted](category, "/v1/minutes").Events(app.Event[Counted]("MinuteCounted", 1))},
		Projections: []projections.Projection{minutes},
		Routes: func(s *app.Service, a *httpapi.API) {
			// ?from=&to=&limit=&after=
			httpapi.Read(a, "/v1/analytics/minutes", rangeOf, func(ctx context.Context, in httpapi.ReadRequest[minuteRange]) (httpapi.Page[Minute], error) {
				return list(ctx, s, minutes, in.Params, in)
			})
			a.Access(httpapi.Access{Category: category})
		},
	}
}

// Counted says what a minute comes to. Its members are those of delivery.WindowTarget and the values of the subscription.
type Counted struct {
	Key      string    `json:"key"`
	Start    time.Time `json:"start"`
	Revision int       `json:"revision"`
	Values   struct {
		Orders       int64 `json:"orders"`
		RevenueMinor int64 `json:"revenue_minor"`
		Customers    int64 `json:"customers"`
	} `json:"values"`
}

// closings is what there is to know of a stream of them: nothing is decided from it.
type closings struct{}

// Evolve implements commands.Event.
func (Counted) Evolve(c closings) closings { return c }

// minuteKey is a minute, in which there are orders in a currency.
type minuteKey struct {
	Minute   time.Time
	Currency string
}

// Minute is what a minute comes to, by the last that its window has said.
type Minute struct {
	Minute       time.Time `json:"minute"`
	Currency     string    `json:"currency"`
	Orders       int64     `json:"orders"`
	RevenueMinor int64     `json:"revenue_minor"`
	// Customers is how many different ones have ordered.
	Customers int64 `json:"customers"`
	// Revision is above 0 if orders came late.
	Revision int `json:"revision"`
}

type minuteRow struct {
	Orders       int64
	RevenueMinor int64
	Customers    int64
	Revision     int
}

func newMinutes() *projections.Fold[minuteKey, minuteRow] {
	f := projections.NewFold[minuteKey, minuteRow](projections.Table{Name: "analytics_minutes", Version: 1})
	projections.Upsert(f, func(e Counted, _ projections.Recorded) minuteKey { return minuteKey{e.Start, e.Key} },
		func(r *minuteRow, e Counted, _ projections.Recorded) error {
			*r = minuteRow{e.Values.Orders, e.Values.RevenueMinor, e.Values.Customers, e.Revision}
			return nil
		})
	return f
}

// minuteRange is a page of minutes.
type minuteRange struct {
	// from is inclusive, to exclusive; zero: there is no bound.
	from, to time.Time
	limit    int
	after    string
}

func rangeOf(p *httpapi.Params) (r minuteRange) {
	p.Scan("from", &r.from)
	p.Scan("to", &r.to)
	r.limit, r.after = p.Limit(queries.DefaultLimit, queries.MaxLimit), p.Cursor("after")
	return r
}

func list(ctx context.Context, s *app.Service, minutes *projections.Fold[minuteKey, minuteRow], r minuteRange, in httpapi.ReadRequest[minuteRange]) (page httpapi.Page[Minute], err error) {
	l := queries.List{OrderBy: "minute", Limit: r.limit, Cursor: r.after, Token: in.Token}
	if !r.from.IsZero() {
		l.From = r.from
	}
	if !r.to.IsZero() {
		l.To = r.to
	}
	found, err := queries.Find(ctx, s.Reader, minutes, l)
	if err != nil {
		return page, err
	}
	page.Next, page.Items = httpapi.Cursor(found.Next), []Minute{}
	for _, item := range found.Items {
		page.Items = append(page.Items, Minute{item.Key.Minute, item.Key.Currency, item.Row.Orders, item.Row.RevenueMinor, item.Row.Customers, item.Row.Revision})
	}
	return page, nil
}
