package projections

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/internal/rowmap"
)

// Table describes the table of a fold.
type Table struct {
	// Name is the name of the projection and of the view that shows its rows: lower-case letters,
	// digits and underscores, at most 48 bytes.
	Name string
	// Version is the version of the rows, from 1. Raise it whenever the fold makes other rows of
	// the same events: the rows are then built anew.
	Version int
	// Key names the key's columns, which the row must not hold as well. Default: "id" for a key that
	// is one value; the fields of a key that is a struct.
	Key []string
	// Indexes are what package queries can find rows by, besides the key. One that is added or taken
	// away needs no new Version: it is made or dropped, by whichever process runs the projection,
	// while that runs. Until it is made, reads by it are slow. Default: none.
	Indexes []Index
	// Changes makes the projection keep what changes in its rows, for subscriptions to deliver, see ChangeLog. It needs no new
	// Version. Default: none are kept.
	Changes Images
	// ChangesKept is for how long, at least: what a subscription has not delivered stays. Default: 7 days.
	ChangesKept time.Duration
}

// Index is an index of a fold's table. The key's columns follow those named, so that rows always
// have an order to page through.
type Index struct {
	// Columns are columns of the row or the key, the ones compared for equality first.
	Columns []string
}

// Layout is how the rows of a fold are kept. Package queries reads them by it.
type Layout struct {
	Key     rowmap.Columns
	Row     rowmap.Columns
	Indexes []Index
}

var (
	validName      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)
	generationName = regexp.MustCompile(`_g[0-9]+$`)
)

// checkName returns what is wrong with the name and version of a projection.
func checkName(name string, version int) error {
	var errs []error
	switch {
	case !validName.MatchString(name):
		errs = append(errs, fmt.Errorf("name %q must be a lower-case letter and then letters, digits and underscores, at most 48", name))
	case strings.HasPrefix(name, "pg_"):
		errs = append(errs, fmt.Errorf("name %q: names that begin with pg_ belong to PostgreSQL", name))
	case generationName.MatchString(name):
		errs = append(errs, fmt.Errorf("name %q must not end like the table of a generation, in _g and a number", name))
	}
	if version < 1 {
		errs = append(errs, fmt.Errorf("set Version, the version of its rows, to 1 or more"))
	}
	return errors.Join(errs...)
}

// layout returns how a table's rows of the given types are kept, and everything that is wrong with
// it.
func (t Table) layout(key, row reflect.Type) (Layout, error) {
	keys, keyErr := rowmap.Key(key, t.Key)
	columns, rowErr := rowmap.Of(row)
	l := Layout{Key: keys, Row: columns, Indexes: slices.Clone(t.Indexes)}
	if err := errors.Join(keyErr, rowErr); err != nil {
		return l, err
	}
	var errs []error
	for _, c := range columns {
		if _, ok := keys.Find(c.Name); ok {
			errs = append(errs, fmt.Errorf("column %s is in the key and in the row: take it out of the row, or give it another name", c.Name))
		}
	}
	for _, c := range append(slices.Clone(keys), columns...) {
		if strings.HasPrefix(c.Name, "recount_") {
			errs = append(errs, fmt.Errorf("column %s: names that begin with recount_ are taken, give it another", c.Name))
		}
	}
	for _, index := range t.Indexes {
		errs = append(errs, l.checkIndex(index))
	}
	return l, errors.Join(errs...)
}

func (l Layout) checkIndex(index Index) error {
	if len(index.Columns) == 0 {
		return errors.New("an index names no columns")
	}
	for i, name := range index.Columns {
		c, ok := l.Column(name)
		switch {
		case !ok:
			return fmt.Errorf("an index names column %q; the columns are %s", name, strings.Join(l.names(), ", "))
		case c.Type == "jsonb":
			return fmt.Errorf("an index names column %s, which is jsonb; make what is looked for a column of its own", name)
		case slices.Contains(index.Columns[:i], name):
			return fmt.Errorf("an index names column %s twice", name)
		}
	}
	return nil
}

// Column returns the column of the key or of the row that has the given name.
func (l Layout) Column(name string) (rowmap.Column, bool) {
	if c, ok := l.Key.Find(name); ok {
		return c, true
	}
	return l.Row.Find(name)
}

func (l Layout) names() []string { return append(l.Key.Names(), l.Row.Names()...) }

// IndexColumns returns the columns of an index as they are in the table: those named, and those of
// the key that it does not name.
func (l Layout) IndexColumns(index Index) []string {
	columns := slices.Clone(index.Columns)
	for _, name := range l.Key.Names() {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	return columns
}

// keepsParts reports whether a row may keep a part of an event that can be changed in the row:
// behind a pointer, or in a slice or map.
func (l Layout) keepsParts() bool {
	return slices.ContainsFunc(l.Row, func(c rowmap.Column) bool { return c.Nullable || c.Type == "jsonb" })
}

// definition is the layout in words that change when it does.
func (l Layout) definition() string {
	var b strings.Builder
	for _, c := range l.Key {
		fmt.Fprintf(&b, "key %s\n", c.Definition())
	}
	for _, c := range l.Row {
		fmt.Fprintf(&b, "column %s\n", c.Definition())
	}
	for _, index := range l.Indexes {
		fmt.Fprintf(&b, "index %s\n", strings.Join(index.Columns, ", "))
	}
	return b.String()
}
