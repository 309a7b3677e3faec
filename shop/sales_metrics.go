package shop

import (
	"context"
	"fmt"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/queries"
)

// salesMetrics are the sales of all days, read from the rows of countries: right after a restart, and the same in each process.
func salesMetrics() []app.Metric {
	metric := func(name, help string, value func(sales) int64) app.Metric {
		return app.Metric{Name: name, Help: help, Labels: []string{"currency"},
			Collect: func(ctx context.Context, s *app.Service, sample func(float64, ...string)) error {
				list := queries.SQLList{
					SQL: fmt.Sprintf(`SELECT '' AS label, currency, %s FROM {%s} GROUP BY currency`, sums(), salesByCountry.Name()), OrderBy: []string{"currency"},
					Limit: queries.MaxLimit,
				}
				for {
					rows, next, err := queries.SQLPage[saleRow](ctx, s.Reader, list)
					for _, row := range rows {
						sample(float64(value(row.sales)), row.Currency)
					}
					if err != nil || next == "" {
						return err
					}
					list.Cursor = next
				}
			}}
	}
	return []app.Metric{
		metric("shop_orders", "Orders that were placed and not cancelled, of all days.", func(s sales) int64 { return s.Orders }),
		metric("shop_revenue_minor", "What they amount to, in minor units of the currency.", func(s sales) int64 { return s.GrossMinor }),
		metric("shop_refunds_minor", "What was given back for returns, in minor units of the currency.", func(s sales) int64 { return s.RefundsMinor }),
	}
}
