package app

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// Read is a route that answers from read models: a Row, a List, or an SQL. Members of what it
// answers are called as the columns are.
type Read struct {
	path     string
	register func(*Service, *httpapi.API)
	// check returns what is wrong with it.
	check func() error
}

// Row answers GET path, which ends with a variable, with the row of a fold that has that key. The
// answer has the key's column too.
func Row[R any](path string, f *projections.Fold[string, R]) Read {
	variables := variablesOf(path)
	return Read{path,
		func(s *Service, api *httpapi.API) {
			httpapi.Read(api, path, httpapi.NoParams, func(ctx context.Context, in httpapi.ReadRequest[struct{}]) (map[string]any, error) {
				key := in.Path(variables[len(variables)-1])
				row, err := queries.Get(ctx, s.Reader, f, key, in.Token)
				if err != nil {
					return nil, err
				}
				return members(f, key, row)
			})
			api.Answers(rowType(f))
		},
		func() error {
			if len(variables) == 0 {
				return fmt.Errorf("app: read %s: it must end with a variable, for the key", path)
			}
			return nil
		}}
}

// ListOptions say which rows of a fold a List has, and in which order. Together with the variables
// in the path they must fit one of the fold's indexes, see queries.List.
type ListOptions struct {
	// Filters are columns that a client may ask a value of, by parameters of their names.
	Filters []string
	// OrderBy is a column that is never NULL. Default: the key.
	OrderBy string
	// Desc turns the order around.
	Desc bool
}

// List answers GET path with a page of the rows of a fold, with the parameters limit and after. A
// variable in the path is a column, which has the value in all rows.
func List[K comparable, R any](path string, f *projections.Fold[K, R], o ListOptions) Read {
	type query struct {
		filters map[string]string
		limit   int
		after   string
	}
	parse := func(p *httpapi.Params) query {
		q := query{make(map[string]string), p.Limit(queries.DefaultLimit, queries.MaxLimit), p.Cursor("after")}
		for _, name := range o.Filters {
			if text := p.Text(name); text != "" {
				q.filters[name] = text
			}
		}
		return q
	}
	variables := variablesOf(path)
	read := func(ctx context.Context, s *Service, in httpapi.ReadRequest[query]) (page httpapi.Page[map[string]any], err error) {
		for _, name := range variables {
			in.Params.filters[name] = in.Path(name)
		}
		where, err := whereOf(f, in.Params.filters)
		if err != nil {
			return page, err
		}
		found, err := queries.Find(ctx, s.Reader, f, queries.List{
			Where: where, OrderBy: o.OrderBy, Desc: o.Desc, Limit: in.Params.limit, Cursor: in.Params.after, Token: in.Token,
		})
		if err != nil {
			return page, err
		}
		page.Next = httpapi.Cursor(found.Next)
		for _, item := range found.Items {
			row, err := members(f, item.Key, item.Row)
			if err != nil {
				return page, err
			}
			page.Items = append(page.Items, row)
		}
		return page, nil
	}
	return Read{path,
		func(s *Service, api *httpapi.API) {
			httpapi.Read(api, path, parse, func(ctx context.Context, in httpapi.ReadRequest[query]) (httpapi.Page[map[string]any], error) {
				return read(ctx, s, in)
			})
			api.Answers(pageType(rowType(f)))
		},
		func() error {
			layout, err := f.Layout()
			if err != nil {
				return err
			}
			for _, name := range slices.Concat(variables, o.Filters) {
				if _, ok := columnOf(layout, name); !ok {
					return fmt.Errorf("app: read %s: %q is no column of %s", path, name, f.Name())
				}
			}
			return nil
		}}
}

// SQLOptions say how an SQL is read.
type SQLOptions struct {
	// Params are the names of $1, $2, … in the statement: of variables in the path, else of parameters
	// of the request, which are NULL if they are left out. Default: there are none.
	Params []string
	// OrderBy are columns that give each row its place, see queries.SQLList: the answer then is a
	// page, with the parameters limit and after. Default: all rows are answered, as the statement
	// orders them.
	OrderBy []string
	// Desc turns the order around.
	Desc bool
}

// SQL answers GET path with the rows of a statement over read models, see queries.SQL.
func SQL[T any](path, sql string, o SQLOptions) Read {
	type query struct {
		params map[string]string
		limit  int
		after  string
	}
	variables := variablesOf(path)
	parse := func(p *httpapi.Params) query {
		q := query{params: make(map[string]string)}
		for _, name := range o.Params {
			if slices.Contains(variables, name) {
				continue
			}
			if text := p.Text(name); text != "" {
				q.params[name] = text
			}
		}
		if len(o.OrderBy) > 0 {
			q.limit, q.after = p.Limit(queries.DefaultLimit, queries.MaxLimit), p.Cursor("after")
		}
		return q
	}
	read := func(ctx context.Context, s *Service, in httpapi.ReadRequest[query]) (page httpapi.Page[T], err error) {
		args := make([]any, len(o.Params))
		for i, name := range o.Params {
			if slices.Contains(variables, name) {
				args[i] = in.Path(name)
			} else if text, given := in.Params.params[name]; given {
				args[i] = text
			}
		}
		if len(o.OrderBy) == 0 {
			page.Items, err = queries.SQL[T](ctx, s.Reader, in.Token, sql, args...)
			return page, err
		}
		rows, next, err := queries.SQLPage[T](ctx, s.Reader, queries.SQLList{
			SQL: sql, Args: args, OrderBy: o.OrderBy, Desc: o.Desc, Limit: in.Params.limit, Cursor: in.Params.after, Token: in.Token,
		})
		return httpapi.Page[T]{Items: rows, Next: httpapi.Cursor(next)}, err
	}
	return Read{path,
		func(s *Service, a *httpapi.API) {
			httpapi.Read(a, path, parse, func(ctx context.Context, in httpapi.ReadRequest[query]) (httpapi.Page[T], error) {
				return read(ctx, s, in)
			})
		},
		func() error { return nil }}
}

var variable = regexp.MustCompile(`\{([^{}/]+)\}`)

// variablesOf returns the names of the variables in a path.
func variablesOf(path string) (names []string) {
	for _, m := range variable.FindAllStringSubmatch(path, -1) {
		names = append(names, m[1])
	}
	return names
}

// members returns the columns of a row, those of its key too, by their names.
func members[K comparable, R any](f *projections.Fold[K, R], key K, row R) (map[string]any, error) {
	layout, err := f.Layout()
	if err != nil {
		return nil, err
	}
	all := make(map[string]any, len(layout.Key)+len(layout.Row))
	for _, c := range layout.Key {
		all[c.Name] = c.Value(reflect.ValueOf(key))
	}
	for _, c := range layout.Row {
		all[c.Name] = c.Value(reflect.ValueOf(row))
	}
	return all, nil
}

// rowType is the type of structs that are as JSON what members returns. Check has found the columns that make
// none.
func rowType[K comparable, R any](f *projections.Fold[K, R]) reflect.Type {
	layout, err := f.Layout()
	if err != nil {
		return reflect.TypeFor[map[string]any]()
	}
	var fields []reflect.StructField
	for i, c := range slices.Concat(layout.Key, layout.Row) {
		t := c.New().Type()
		if !c.Nullable {
			t = t.Elem()
		}
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("Column%d", i), Type: t, Tag: jsonName(c.Name)})
	}
	return reflect.StructOf(fields)
}

// pageType is the type of an httpapi.Page of items.
func pageType(item reflect.Type) reflect.Type {
	return reflect.StructOf([]reflect.StructField{
		{Name: "Items", Type: reflect.SliceOf(item), Tag: jsonName("items")},
		{Name: "Next", Type: reflect.TypeFor[httpapi.Cursor](), Tag: jsonName("next")},
	})
}

func jsonName(name string) reflect.StructTag { return reflect.StructTag(fmt.Sprintf(`json:%q`, name)) }

func columnOf(l projections.Layout, name string) (rowmap.Column, bool) {
	if c, ok := l.Key.Find(name); ok {
		return c, true
	}
	return l.Row.Find(name)
}

// whereOf returns values of columns, as they are in Go, from their texts.
func whereOf[K comparable, R any](f *projections.Fold[K, R], texts map[string]string) (map[string]any, error) {
	layout, err := f.Layout()
	if err != nil {
		return nil, err
	}
	where := make(map[string]any, len(texts))
	for name, text := range texts {
		column, ok := columnOf(layout, name)
		if !ok {
			return nil, fmt.Errorf("%q is no column of %s: %w", name, f.Name(), queries.ErrInvalidQuery)
		}
		v := column.New()
		if err := setText(v, text); err != nil {
			return nil, &eventstore.InvalidError{Field: name, Reason: fmt.Sprintf("must be a %v, it is %q", v.Type().Elem(), text)}
		}
		where[name] = v.Elem().Interface()
	}
	return where, nil
}

// setText sets what v points to from text.
func setText(v reflect.Value, text string) error {
	if t, ok := v.Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	if v.Elem().Kind() == reflect.String {
		v.Elem().SetString(text)
		return nil
	}
	return json.Unmarshal([]byte(text), v.Interface())
}
