package queries

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/rowmap"
)

// SQLList is a list that SQLPage reads.
type SQLList struct {
	// SQL is a statement as SQL takes it, without an order and a limit, and Args its parameters.
	SQL  string
	Args []any
	// OrderBy are the columns that give each row its place: never NULL, and together different in each
	// row. Desc turns the order around.
	OrderBy []string
	Desc    bool
	// Limit is how many rows a page has. Default: DefaultLimit. There is no highest one, but a page
	// ends before it has more than eventstore.DefaultPageBytes.
	Limit int
	// Cursor is that of the page before. Default: the first page.
	Cursor string
	// Token is how far the projections must have come. Default: as far as they are.
	Token eventstore.Token
}

// SQLPage returns a page of the rows that a statement makes, and the cursor of the next page, empty
// if there is none. T is a struct as for SQL.
//
// Errors: ErrInvalidCursor and those of SQL.
func SQLPage[T any](ctx context.Context, r *Reader, l SQLList) (rows []T, next string, err error) {
	if l.Limit == 0 {
		l.Limit = DefaultLimit
	}
	fields, columns, err := orderOf[T](l.OrderBy)
	if err != nil {
		return nil, "", err
	}
	if len(columns) == 0 || l.Limit < 0 {
		return nil, "", invalidf("a page of a list needs an order and a limit from 1")
	}
	o := order{columns, l.Desc}
	which := fmt.Sprintf("%s %v %q %v", l.SQL, valuesOf(l.Args), l.OrderBy, l.Desc)
	where, args, err := o.after(l.Cursor, which, l.Args)
	if err != nil {
		return nil, "", err
	}
	if where != "" {
		where = " WHERE " + where
	}
	sql := pageOf(fields, l.SQL) + where + o.sql(l.Limit)
	rows, more, err := selectRows[T](ctx, r, l.Limit, l.Token, sql, args)
	if err != nil || !more {
		return rows, "", err
	}
	last := reflect.ValueOf(rows[len(rows)-1])
	next, err = o.cursor(which, func(c rowmap.Column) any { return c.Value(last) })
	return rows, next, err
}

// pageOf returns the statement that a page is read by, without a place in it, an order and a limit.
func pageOf(fields rowmap.Columns, sql string) string {
	return fmt.Sprintf("SELECT %s FROM (%s) AS list", list(fields.Names()), sql)
}

// orderOf returns the columns of T, and those of names among them.
func orderOf[T any](names []string) (fields rowmap.Columns, columns []rowmap.Column, _ error) {
	fields, err := rowmap.Of(reflect.TypeFor[T]())
	if err != nil {
		return nil, nil, invalidf("%w", err)
	}
	for _, name := range names {
		c, ok := fields.Find(name)
		if !ok || c.Nullable {
			return nil, nil, invalidf("%s has no field for the column %q that cannot be NULL", reflect.TypeFor[T](), name)
		}
		columns = append(columns, c)
	}
	return fields, columns, nil
}

// valuesOf returns parameters with what they point to in place of pointers: an address is another one in the
// next request.
func valuesOf(args []any) []any {
	values := slices.Clone(args)
	for i, arg := range args {
		if v := reflect.ValueOf(arg); v.Kind() == reflect.Pointer && !v.IsNil() {
			values[i] = v.Elem().Interface()
		}
	}
	return values
}
