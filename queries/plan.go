package queries

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/projections"
)

// plan is a List that was found to be right, as SQL.
type plan struct {
	layout projections.Layout
	// shape says which list it is: a cursor is good for one list only.
	shape string
	order
	limit      int
	conditions []string
	args       []any
}

func newPlan(projection string, layout projections.Layout, l List) (*plan, error) {
	p := &plan{layout: layout, order: order{desc: l.Desc}, limit: l.Limit}
	if p.limit == 0 {
		p.limit = DefaultLimit
	}
	if p.limit < 0 || p.limit > MaxLimit {
		return nil, invalidf("the limit is %d, it must be from 1 to %d", l.Limit, MaxLimit)
	}
	equal := slices.Sorted(maps.Keys(l.Where))
	if err := checkList(layout, equal, l.OrderBy); err != nil {
		return nil, err
	}
	for _, name := range equal {
		if err := p.where(name, l.Where[name]); err != nil {
			return nil, err
		}
	}
	if err := p.orderBy(equal, l); err != nil {
		return nil, err
	}
	p.shape = fmt.Sprintf("%s %q %v %q %v", projection, p.conditions, p.args, p.names(), p.desc)
	condition, args, err := p.after(l.Cursor, p.shape, p.args)
	if condition != "" {
		p.conditions = append(p.conditions, condition)
	}
	p.args = args
	return p, err
}

// CheckList returns an ErrInvalidQuery if Find refuses a List whose Where has the columns equal and whose
// OrderBy is orderBy, whatever their values are. It says which index is missing.
func CheckList[K comparable, Row any](f *projections.Fold[K, Row], equal []string, orderBy string) error {
	layout, err := f.Layout()
	if err != nil {
		return err
	}
	return checkList(layout, slices.Sorted(slices.Values(equal)), orderBy)
}

// checkList is CheckList with equal in order.
func checkList(layout projections.Layout, equal []string, orderBy string) error {
	for _, name := range append(slices.Clone(equal), orderBy) {
		switch c, ok := layout.Column(name); {
		case !ok && name != "":
			return invalidf("there is no column %q", name)
		case c.Type == "jsonb":
			return invalidf("column %s is jsonb, make what is looked for a column of its own", name)
		}
	}
	if c, _ := layout.Column(orderBy); c.Nullable {
		return invalidf("column %s can be NULL, order by one that cannot", orderBy)
	}
	key := projections.Index{Columns: layout.Key.Names()}
	described := []string{}
	for _, index := range append([]projections.Index{key}, layout.Indexes...) {
		columns := layout.IndexColumns(index)
		if fits(columns, equal, orderBy, layout.Key.Names()) {
			return nil
		}
		described = append(described, "("+strings.Join(columns, ", ")+")")
	}
	missing := equal
	if orderBy != "" && !slices.Contains(equal, orderBy) {
		missing = append(slices.Clone(equal), orderBy)
	}
	return invalidf("no index serves it: add one on (%s); there are %s", strings.Join(missing, ", "), strings.Join(described, ", "))
}

// fits reports whether an index begins with the columns of equal, in any order, and goes on with
// orderBy, or without one with the key. What ties that leaves, PostgreSQL sorts as it goes.
func fits(index, equal []string, orderBy string, key []string) bool {
	if len(equal) > len(index) {
		return false
	}
	first := slices.Sorted(slices.Values(index[:len(equal)]))
	if !slices.Equal(first, equal) {
		return false
	}
	rest := index[len(equal):]
	if orderBy != "" && !slices.Contains(equal, orderBy) {
		return len(rest) > 0 && rest[0] == orderBy
	}
	key = slices.DeleteFunc(slices.Clone(key), func(name string) bool { return slices.Contains(equal, name) })
	return len(rest) >= len(key) && slices.Equal(rest[:len(key)], key)
}

// where adds the condition that a column equals a value.
func (p *plan) where(name string, value any) error {
	c, _ := p.layout.Column(name)
	arg, err := convert(c, value)
	if err != nil {
		return err
	}
	if arg == nil {
		p.conditions = append(p.conditions, pgsql.Name(name)+" IS NULL")
		return nil
	}
	p.conditions = append(p.conditions, pgsql.Name(name)+" = "+p.arg(arg))
	return nil
}

// orderBy sets the order and the limits on its first column.
func (p *plan) orderBy(equal []string, l List) error {
	names := p.layout.Key.Names()
	if l.OrderBy != "" {
		names = append([]string{l.OrderBy}, slices.DeleteFunc(names, func(n string) bool { return n == l.OrderBy })...)
	}
	for _, name := range names {
		if c, _ := p.layout.Column(name); !slices.Contains(equal, name) {
			p.columns = append(p.columns, c)
		}
	}
	for _, limit := range []struct {
		operator string
		value    any
	}{{">=", l.From}, {"<", l.To}} {
		if limit.value == nil {
			continue
		}
		if l.OrderBy == "" {
			return invalidf("From and To limit the column of OrderBy, which is not set")
		}
		c, _ := p.layout.Column(l.OrderBy)
		arg, err := convert(c, limit.value)
		if err != nil {
			return err
		}
		p.conditions = append(p.conditions, fmt.Sprintf("%s %s %s", pgsql.Name(c.Name), limit.operator, p.arg(arg)))
	}
	return nil
}

// convert returns a value as a parameter that is compared with a column.
func convert(c rowmap.Column, value any) (any, error) {
	arg, err := c.Convert(value)
	if err != nil {
		return nil, invalidf("%w", err)
	}
	if !storable(arg) {
		return nil, invalidf("column %s: the text has a NUL or is not UTF-8", c.Name)
	}
	return arg, nil
}

// arg adds a parameter and returns its name.
func (p *plan) arg(value any) string {
	p.args = append(p.args, value)
	return fmt.Sprintf("$%d", len(p.args))
}

// sql is the statement for a page and one row more.
func (p *plan) sql(table string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT %s FROM %s", list(append(p.layout.Key.Names(), p.layout.Row.Names()...)), table)
	if len(p.conditions) > 0 {
		fmt.Fprintf(&b, " WHERE %s", strings.Join(p.conditions, " AND "))
	}
	return b.String() + p.order.sql(p.limit)
}
