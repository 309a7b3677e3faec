package shop

import (
	"fmt"
	"strings"

	"github.com/57528e99/recount/domain/money"
)

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

// order returns the columns that sales are sorted by.
func (l salesList) order() []string {
	if l.Sort != l.By {
		return []string{l.Sort, "label", "currency"}
	}
	return []string{"label", "currency"}
}

// sql returns the statement for sales from day $1 to day $2. The names in it are of this program.
func (l salesList) sql() string {
	return fmt.Sprintf(`SELECT %s AS label, currency, %s FROM {%s} WHERE day BETWEEN $1 AND $2 GROUP BY 1, 2`,
		l.By, sums(), l.source())
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
