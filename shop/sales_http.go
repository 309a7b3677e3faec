package shop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// salesModule has sales by country and by article.
func salesModule() app.Module {
	return app.Module{
		Name:        "sales",
		Projections: []projections.Projection{salesByCountry, salesBySKU},
		Metrics:     salesMetrics(),
		Routes: func(s *app.Service, a *httpapi.API) {
			// ?by=day|country|sku&from=&to=&sort=&limit=&after=
			httpapi.Read(a, "/v1/sales", salesQueryOf, reads{s}.sales)
		},
		Problems: []httpapi.DomainProblem{{Err: money.ErrOverflow, Kind: kindTotalTooLarge}},
	}
}

// maxSales is how many rows of sales a page may have, and has unless the client
// says otherwise: all days, all countries, and the articles of all but the
// largest shops.
const maxSales = 10_000

// saleView is sales summed over days, for each of something in each currency.
// One of Day, Country and SKU is set.
type saleView struct {
	Day      string `json:"day,omitzero"`
	Country  string `json:"country,omitzero"`
	SKU      string `json:"sku,omitzero"`
	Currency string `json:"currency"`
	sales
}

// measures are the columns of sales.
var measures = []string{"orders", "units", "gross_minor", "refunds_minor", "net_minor"}

// salesList says which sales to list, and in which order.
type salesList struct {
	// By is the column that sales are summed for.
	By string
	// From and To are days, both inclusive.
	From, To string
	// Sort is By or one of measures; Descending turns the whole order around.
	Sort       string
	Descending bool
}

// salesQuery is a page of a list of sales.
type salesQuery struct {
	salesList
	limit int
	after string
}

// salesQueryOf reads the parameters of sales. The order is that of the parameter
// sort: the name of a member of the rows that is not the currency, with a "-"
// before it for the highest first. Best sellers are by=sku&sort=-units.
func salesQueryOf(p *httpapi.Params) salesQuery {
	presentOnly(p)
	by := p.OneOf("by", "day", "country", "sku")
	from, to := p.Day("from"), p.Day("to")
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		p.Fail("to", "must not be before from")
	}
	sorts := append([]string{by}, measures...)
	for _, name := range slices.Clone(sorts) {
		sorts = append(sorts, "-"+name)
	}
	sort, descending := strings.CutPrefix(p.OneOf("sort", sorts...), "-")
	return salesQuery{
		salesList: salesList{By: by, From: dayOr(from, "0001-01-01"), To: dayOr(to, "9999-12-31"), Sort: sort, Descending: descending},
		limit:     p.Limit(maxSales, maxSales),
		after:     p.Cursor("after"),
	}
}

func dayOr(t time.Time, otherwise string) string {
	if t.IsZero() {
		return otherwise
	}
	return day(t)
}

// saleRow is a row of sales as SQL returns it.
type saleRow struct {
	Label    string
	Currency string
	sales
}

func (r reads) sales(ctx context.Context, in httpapi.ReadRequest[salesQuery]) (page httpapi.Page[saleView], err error) {
	q := in.Params
	rows, next, err := queries.SQLPage[saleRow](ctx, r.Reader, queries.SQLList{
		SQL: q.sql(), Args: []any{q.From, q.To}, OrderBy: q.order(), Desc: q.Descending,
		Limit: q.limit, Cursor: q.after, Token: in.Token,
	})
	if err != nil {
		return page, err
	}
	page.Next = httpapi.Cursor(next)
	for _, row := range rows {
		if !row.inBounds() {
			return page, fmt.Errorf("sales of %s: %w", row.Label, money.ErrOverflow)
		}
		page.Items = append(page.Items, q.view(row))
	}
	return page, nil
}

// view gives the label the name that the client asked for.
func (l salesList) view(row saleRow) saleView {
	v := saleView{Currency: row.Currency, sales: row.sales}
	switch l.By {
	case "day":
		v.Day = row.Label
	case "country":
		v.Country = row.Label
	default:
		v.SKU = row.Label
	}
	return v
}
