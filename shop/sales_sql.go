package shop

import (
	"fmt"
	"strings"

	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/queries"
)

// salePlace is the place of a row in a list of sales.
type salePlace struct {
	// Value is that of the measure the list is sorted by, if it is.
	Value           int64
	Label, Currency string
}

func (l salesList) placeOf(row saleRow) salePlace {
	return salePlace{row.measure(l.Sort), row.Label, row.Currency}
}

// measure returns one of measures by its name; 0 for any other.
func (s sales) measure(name string) int64 {
	switch name {
	case "orders":
		return s.Orders
	case "units":
		return s.Units
	case "gross_minor":
		return s.GrossMinor
	case "refunds_minor":
		return s.RefundsMinor
	case "net_minor":
		return s.NetMinor
	}
	return 0
}

// inBounds reports whether every sum is one that JSON can carry.
func (s sales) inBounds() bool {
	for _, name := range measures {
		if n := s.measure(name); n < -money.Max || n > money.Max {
			return false
		}
	}
	return true
}

// sql returns the statement for a page of sales and one row more. The names in
// it are of this program; what the client has sent is in args.
func (q salesQuery) sql() (sql string, args []any, err error) {
	order := []string{"label", "currency"}
	if q.Sort != q.By {
		order = []string{q.Sort, "label", "currency"}
	}
	args = []any{q.From, q.To}
	where, direction, behind := "", "", ">"
	if q.Descending {
		direction, behind = " DESC", "<"
	}
	if q.after != "" {
		var place salePlace
		if err := queries.ParseCursor(q.after, q.salesList, &place); err != nil {
			return "", nil, err
		}
		values := []any{place.Value, place.Label, place.Currency}
		args = append(args, values[len(values)-len(order):]...)
		where = fmt.Sprintf("WHERE (%s) %s (%s)", strings.Join(order, ", "), behind, parameters(3, len(order)))
	}
	args = append(args, q.limit+1)
	return fmt.Sprintf(`
		SELECT label, currency, %s
		FROM (SELECT %s AS label, currency, %s FROM {%s} WHERE day BETWEEN $1 AND $2 GROUP BY 1, 2) AS sums
		%s
		ORDER BY %s%s
		LIMIT $%d`,
		strings.Join(measures, ", "),
		q.By, sums(), q.source(),
		where,
		strings.Join(order, direction+", "), direction,
		len(args)), args, nil
}

func (l salesList) source() string {
	if l.By == "sku" {
		return salesBySKU.Name()
	}
	return salesByCountry.Name()
}

// sums returns the columns that add the measures up. A sum that is out of bounds
// comes out as the first one that is, for it might not fit into a bigint.
func sums() string {
	columns := make([]string, len(measures))
	for i, name := range measures {
		columns[i] = fmt.Sprintf("greatest(least(sum(%[1]s), %[2]d), -%[2]d)::bigint AS %[1]s", name, int64(money.Max+1))
	}
	return strings.Join(columns, ", ")
}

// parameters returns the names of n parameters from the given one.
func parameters(first, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(names, ", ")
}
