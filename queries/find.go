package queries

import (
	"context"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/projections"
)

const (
	// DefaultLimit is how many rows a page has unless List says otherwise.
	DefaultLimit = 50
	// MaxLimit is how many rows a page can have.
	MaxLimit = 500
)

// List says which rows to find, and in which order. Where and OrderBy together must fit one of the
// fold's indexes or its key: the columns of Where first, in any order, then that of OrderBy.
type List struct {
	// Where are columns and the values they must equal, of the column's Go type. A nil finds rows
	// where the column is NULL. Default: all rows.
	Where map[string]any
	// OrderBy is a column that is never NULL; rows with the same value are ordered by key.
	// Default: by key.
	OrderBy string
	// Desc turns the order around.
	Desc bool
	// From (inclusive) and To (exclusive) limit the values of OrderBy. Default: no limits.
	From, To any
	// Limit is how many rows a page has. Default: 50, at most 500. Large ones are fewer: a page ends
	// before it has more than eventstore.DefaultPageBytes.
	Limit int
	// Cursor is Next of the page before. Default: the first page.
	Cursor string
	// Token is how far the projection must have come. Default: as far as it is.
	Token eventstore.Token
}

// Page is a part of a list.
type Page[K comparable, Row any] struct {
	// Items are never nil.
	Items []Item[K, Row]
	// Next is the cursor of the next page, empty if there is none. It holds no secrets, and for the
	// same list only.
	Next string
	// At is how far the projection was, at least, when the page was read.
	At eventstore.Token
}

// Item is a row and its key.
type Item[K comparable, Row any] struct {
	Key K
	Row Row
}

// Find returns a page of the rows that l describes, when the projection has come to l.Token.
//
// Errors: ErrInvalidQuery, ErrInvalidCursor, *BehindError, *eventstore.LogChangedError.
func Find[K comparable, Row any](ctx context.Context, r *Reader, f *projections.Fold[K, Row], l List) (Page[K, Row], error) {
	layout, err := f.Layout()
	if err != nil {
		return Page[K, Row]{}, err
	}
	p, err := newPlan(f.Name(), layout, l)
	if err != nil {
		return Page[K, Row]{}, fmt.Errorf("find in %s: %w", f.Name(), err)
	}
	if r.config.InMemory != nil {
		return findInMemory(ctx, r, f, p, l)
	}
	var page Page[K, Row]
	var size pageSize
	at, err := r.read(ctx, []source{{f.Name(), f.Version()}}, l.Token, func(b *pgx.Batch, tables []string, use func() bool) {
		b.Queue(p.sql(tables[0]), p.args...).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			page, size = Page[K, Row]{Items: []Item[K, Row]{}}, pageSize{limit: p.limit}
			for use() && rows.Next() && size.hasRoom(rows) {
				var item Item[K, Row]
				if err := scanItem(rows, layout, &item); err != nil {
					return err
				}
				page.Items = append(page.Items, item)
			}
			return rows.Err()
		})
	})
	if err != nil {
		return Page[K, Row]{}, fmt.Errorf("find in %s: %w", f.Name(), err)
	}
	page.At = at
	if size.full {
		page.Next, err = cursorOf(p, page)
	}
	return page, err
}

// cursorOf returns the cursor of the page after one.
func cursorOf[K comparable, Row any](p *plan, page Page[K, Row]) (string, error) {
	last := page.Items[len(page.Items)-1]
	key, row := reflect.ValueOf(last.Key), reflect.ValueOf(last.Row)
	return p.cursor(p.shape, func(c rowmap.Column) any { return valueOf(c, p.layout, key, row) })
}

func scanItem[K comparable, Row any](rows pgx.Rows, layout projections.Layout, item *Item[K, Row]) error {
	key, row := reflect.ValueOf(&item.Key).Elem(), reflect.ValueOf(&item.Row).Elem()
	targets := make([]any, 0, len(layout.Key)+len(layout.Row))
	targets = layout.Row.Targets(layout.Key.Targets(targets, key), row)
	if err := rows.Scan(targets...); err != nil {
		return err
	}
	if err := layout.Key.Normalize(key); err != nil {
		return err
	}
	return layout.Row.Normalize(row)
}

// valueOf returns the value of a column of the key or the row.
func valueOf(c rowmap.Column, layout projections.Layout, key, row reflect.Value) any {
	if _, ok := layout.Key.Find(c.Name); ok {
		return c.Value(key)
	}
	return c.Value(row)
}
