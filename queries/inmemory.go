package queries

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/projections"
)

// getInMemory is Get from Config.InMemory.
func getInMemory[K comparable, Row any](ctx context.Context, r *Reader, f *projections.Fold[K, Row], key K, token eventstore.Token) (Row, error) {
	row, found, at, err := projections.RowInMemory(ctx, r.config.InMemory, f, key)
	err = r.checkInMemory(ctx, f, at, token, err)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return *new(Row), fmt.Errorf("get %v of %s: %w", key, f.Name(), err)
	}
	return row, nil
}

// findInMemory is Find from Config.InMemory. A page has no bound in bytes.
func findInMemory[K comparable, Row any](ctx context.Context, r *Reader, f *projections.Fold[K, Row], p *plan, l List) (Page[K, Row], error) {
	rows, at, err := projections.RowsInMemory(ctx, r.config.InMemory, f)
	if err = r.checkInMemory(ctx, f, at, l.Token, err); err != nil {
		return Page[K, Row]{}, fmt.Errorf("find in %s: %w", f.Name(), err)
	}
	place, err := p.place(l.Cursor, p.shape)
	if err != nil {
		return Page[K, Row]{}, err
	}
	matches, err := p.matcher(l)
	if err != nil {
		return Page[K, Row]{}, err
	}
	// placed is a row and what gives it its place.
	type placed struct {
		item  Item[K, Row]
		place []any
	}
	var found []placed
	for key, row := range rows {
		value := func(c rowmap.Column) (any, error) {
			return convert(c, valueOf(c, p.layout, reflect.ValueOf(key), reflect.ValueOf(row)))
		}
		ok, err := matches(value)
		if err != nil {
			return Page[K, Row]{}, err
		}
		next := placed{item: Item[K, Row]{key, row}}
		for _, c := range p.columns {
			v, err := value(c)
			if err != nil {
				return Page[K, Row]{}, err
			}
			next.place = append(next.place, v)
		}
		if ok && (place == nil || p.compare(next.place, place) > 0) {
			found = append(found, next)
		}
	}
	slices.SortFunc(found, func(a, b placed) int { return p.compare(a.place, b.place) })
	page := Page[K, Row]{Items: []Item[K, Row]{}, At: at}
	for _, next := range found[:min(len(found), p.limit)] {
		page.Items = append(page.Items, next.item)
	}
	if len(found) > p.limit {
		page.Next, err = cursorOf(p, page)
	}
	return page, err
}

// checkInMemory returns why rows are not what a token demands.
func (r *Reader) checkInMemory(ctx context.Context, f projections.Projection, at, token eventstore.Token, err error) error {
	switch failure := r.config.InMemory.Failures()[f.Name()]; {
	case errors.Is(err, projections.ErrNotFound):
		return &BehindError{Projection: f.Name(), Reason: "it is none of this program's"}
	case failure != nil:
		return &BehindError{Projection: f.Name(), Position: at.Position, Want: at.Position, Reason: "it has failed", Failure: failure.Error(), stopped: true}
	case err != nil || token.IsZero():
		return err
	default:
		return r.inLog(ctx, token) // rows are as far as the log is
	}
}

// matcher returns whether a row, whose columns value returns, is one that l has.
func (p *plan) matcher(l List) (func(value func(rowmap.Column) (any, error)) (bool, error), error) {
	type condition struct {
		column rowmap.Column
		holds  func(int) bool
		with   any
	}
	var all []condition
	add := func(name string, with any, holds func(int) bool) error {
		c, _ := p.layout.Column(name)
		arg, err := convert(c, with)
		all = append(all, condition{c, holds, arg})
		return err
	}
	var errs []error
	for name, with := range l.Where {
		errs = append(errs, add(name, with, func(order int) bool { return order == 0 }))
	}
	if l.From != nil {
		errs = append(errs, add(l.OrderBy, l.From, func(order int) bool { return order >= 0 }))
	}
	if l.To != nil {
		errs = append(errs, add(l.OrderBy, l.To, func(order int) bool { return order < 0 }))
	}
	return func(value func(rowmap.Column) (any, error)) (bool, error) {
		for _, c := range all {
			v, err := value(c.column)
			if err != nil || !c.holds(compare(v, c.with)) {
				return false, err
			}
		}
		return true, nil
	}, errors.Join(errs...)
}

// compare compares places in the order.
func (o order) compare(a, b []any) int {
	by := slices.CompareFunc(a, b, compare)
	if o.desc {
		return -by
	}
	return by
}

// compare compares parameters of a column as PostgreSQL does: text by its bytes, and nil, which is
// NULL, before all others.
func compare(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(btoi(a != nil), btoi(b != nil))
	}
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case bool:
		return cmp.Compare(btoi(a), btoi(b.(bool)))
	case string:
		return strings.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	case time.Time:
		return a.Compare(b.(time.Time))
	case pgtype.UUID:
		other := b.(pgtype.UUID)
		return bytes.Compare(a.Bytes[:], other.Bytes[:])
	default:
		panic(fmt.Sprintf("queries: a parameter is a %T", a))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
