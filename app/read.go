package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// Read is a route that answers from read models: a Row, a List, or an SQL. Its ETag is a weak one, of the
// bytes of the answer: it is for If-None-Match, and no version for If-Match. App.Check finds what is wrong
// with one that can be told without a database.
type Read struct {
	path     string
	register func(*Service, *httpapi.API)
	mistakes func(App) []error
	// try finds what only a database says is wrong, in a transaction that has tables for the projections from; nil: nothing is.
	try  func(ctx context.Context, tx pgx.Tx, tables map[string]string) error
	from []string
}

// Access returns the route with what it is about: where all that rows are made of is of one category, or one stream, who has that in their scope may
// ask. Default: it is about all of the log.
func (r Read) Access(access httpapi.Access) Read {
	register := r.register
	r.register = func(s *Service, a *httpapi.API) {
		register(s, a)
		a.Access(access)
	}
	return r
}

// Row answers GET path with the row of a fold whose key is the only variable of the path, at its end. The
// members of the answer are the columns of the row and the key, by their names.
func Row[R any](path string, f *projections.Fold[string, R]) Read {
	variables := variablesOf(path)
	return Read{path: path,
		register: func(s *Service, api *httpapi.API) {
			httpapi.Read(api, path, httpapi.NoParams, func(ctx context.Context, in httpapi.ReadRequest[struct{}]) (map[string]any, error) {
				key := in.Path(variables[0])
				row, err := queries.Get(ctx, s.Reader, f, key, in.Token)
				if err != nil {
					return nil, err
				}
				return members(f, key, row)
			})
			api.Answers(rowType(f))
		},
		mistakes: func(a App) []error {
			all := a.foldMistakes(f)
			if len(variables) != 1 || !lastVariable.MatchString(path) {
				all = append(all, errors.New("the path must have one variable, at its end, for the key"))
			}
			return all
		}}
}

// ListOptions say which rows of a fold a List has, and in which order.
type ListOptions struct {
	// Filters are columns that a client may ask a value of, by parameters of their names. It may give
	// all of them, some or none: each choice, together with the variables in the path and OrderBy, needs
	// an index that serves it, see queries.List.
	Filters []string
	// OrderBy is a column that is never NULL. Default: the key.
	OrderBy string
	// Desc turns the order around.
	Desc bool
}

// List answers GET path with a page of the rows of a fold, with the parameters limit and after. A
// variable in the path is a column, which has the value in all rows. The members of the items are the
// columns of the row and the key, by their names.
func List[K comparable, R any](path string, f *projections.Fold[K, R], o ListOptions) Read {
	type query struct {
		where map[string]any
		limit int
		after string
	}
	layout, invalid := f.Layout()
	parse := func(p *httpapi.Params) query {
		q := query{make(map[string]any), p.Limit(queries.DefaultLimit, queries.MaxLimit), p.Cursor("after")}
		for _, name := range o.Filters {
			column, _ := layout.Column(name)
			if value := column.New(); p.Scan(name, value.Interface()) {
				q.where[name] = value.Elem().Interface()
			}
		}
		return q
	}
	variables := variablesOf(path)
	read := func(ctx context.Context, s *Service, in httpapi.ReadRequest[query]) (page httpapi.Page[map[string]any], err error) {
		for _, name := range variables {
			column, _ := layout.Column(name)
			value := column.New()
			if err := in.ScanPath(name, value.Interface()); err != nil {
				return page, err
			}
			in.Params.where[name] = value.Elem().Interface()
		}
		found, err := queries.Find(ctx, s.Reader, f, queries.List{
			Where: in.Params.where, OrderBy: o.OrderBy, Desc: o.Desc, Limit: in.Params.limit, Cursor: in.Params.after, Token: in.Token,
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
	return Read{path: path,
		register: func(s *Service, api *httpapi.API) {
			httpapi.Read(api, path, parse, func(ctx context.Context, in httpapi.ReadRequest[query]) (httpapi.Page[map[string]any], error) {
				return read(ctx, s, in)
			})
			api.Answers(pageType(rowType(f)))
		},
		mistakes: func(a App) []error {
			if invalid != nil {
				return []error{invalid}
			}
			all := append(a.foldMistakes(f), parameterMistakes(variables, o.Filters)...)
			for _, name := range slices.Concat(variables, o.Filters) {
				if c, ok := layout.Column(name); !ok {
					all = append(all, fmt.Errorf("%q is no column of %s", name, f.Name()))
				} else if c.Type == "bytea" {
					all = append(all, fmt.Errorf("column %s is bytes, of which no text is a value", name))
				}
			}
			if len(all) > 0 {
				return all
			}
			for given := range choices(o.Filters) {
				if err := queries.CheckList(f, slices.Concat(variables, given), o.OrderBy); err != nil {
					all = append(all, fmt.Errorf("a request %s: %w", withParameters(given), err))
				}
				if len(all) == maxChoices {
					break
				}
			}
			return all
		}}
}

// maxChoices is how many choices of filters are reported that no index serves: of many filters there are
// more than anybody reads.
const maxChoices = 8

// choices yields all choices of some of names, in their order.
func choices(names []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		if len(names) == 0 {
			yield(nil)
			return
		}
		last := len(names) - 1
		for without := range choices(names[:last]) {
			if !yield(without) || !yield(append(slices.Clone(without), names[last])) {
				return
			}
		}
	}
}

func withParameters(names []string) string {
	if len(names) == 0 {
		return "without filters"
	}
	return "with " + inWords(names)
}

// SQLOptions say how an SQL is read.
type SQLOptions struct {
	// Params are the names of $1, $2, … in the statement: of variables in the path, all of which are
	// among them, else of parameters of the request, which are NULL if they are left out. PostgreSQL reads
	// their texts as what they are in the statement; one that it cannot read is refused. Default: there
	// are none.
	Params []string
	// OrderBy are columns that give each row its place, see queries.SQLList: the answer then is a
	// page, with the parameters limit and after. Default: all rows are answered, as the statement
	// orders them.
	OrderBy []string
	// Desc turns the order around.
	Desc bool
}

// SQL answers GET path with the rows of a statement over read models, see queries.SQL: the columns of the
// statement are the fields of T by their names in SQL, and the members of the items those by their names in
// JSON.
func SQL[T any](path, sql string, o SQLOptions) Read {
	type query struct {
		params map[string]string
		limit  int
		after  string
	}
	variables := variablesOf(path)
	ofRequest := slices.DeleteFunc(slices.Clone(o.Params), func(name string) bool { return slices.Contains(variables, name) })
	parse := func(p *httpapi.Params) query {
		q := query{params: make(map[string]string)}
		for _, name := range ofRequest {
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
		} else {
			var next string
			page.Items, next, err = queries.SQLPage[T](ctx, s.Reader, queries.SQLList{
				SQL: sql, Args: args, OrderBy: o.OrderBy, Desc: o.Desc, Limit: in.Params.limit, Cursor: in.Params.after, Token: in.Token,
			})
			page.Next = httpapi.Cursor(next)
		}
		var refused *queries.ParameterError
		switch isParameter := errors.As(err, &refused); {
		case isParameter && refused.Number <= len(o.Params):
			err = in.Invalid(o.Params[refused.Number-1], refused.Reason)
		case !isParameter && errors.Is(err, queries.ErrInvalidQuery):
			err = errors.New(err.Error()) // the statement's fault, not the client's
		}
		return page, err
	}
	from, wrong := queries.CheckSQL[T](sql, o.Params, o.OrderBy)
	return Read{path: path, from: from,
		try: func(ctx context.Context, tx pgx.Tx, tables map[string]string) error {
			return queries.TrySQL[T](ctx, tx, tables, sql, len(o.Params), o.OrderBy)
		},
		register: func(s *Service, a *httpapi.API) {
			httpapi.Read(a, path, parse, func(ctx context.Context, in httpapi.ReadRequest[query]) (httpapi.Page[T], error) {
				return read(ctx, s, in)
			})
		},
		mistakes: func(a App) []error {
			all := parameterMistakes(nil, ofRequest)
			for _, name := range variables {
				if !slices.Contains(o.Params, name) {
					all = append(all, fmt.Errorf("{%s} in the path is not among Params", name))
				}
			}
			all = append(all, wrong...)
			for _, name := range from {
				if !slices.ContainsFunc(a.Projections(), func(p projections.Projection) bool { return p.Name() == name }) {
					all = append(all, noProjection(name))
				}
			}
			return all
		}}
}

// reserved are parameters of the query that reads have, or may have, anyway.
var reserved = []string{"limit", "after", "consistency", "as_of"}

// parameterMistakes are those of the names of parameters of a read whose path has variables.
func parameterMistakes(variables, names []string) (all []error) {
	for i, name := range names {
		switch {
		case slices.Contains(reserved, name):
			all = append(all, fmt.Errorf("the parameter %q means something else in reads, as %s do", name, inWords(reserved)))
		case slices.Contains(names[:i], name), slices.Contains(variables, name):
			all = append(all, fmt.Errorf("the parameter %q is there twice", name))
		}
	}
	return all
}

// foldMistakes reports a fold of a read that no module has.
func (a App) foldMistakes(f projections.Projection) []error {
	for _, p := range a.Projections() {
		switch {
		case p.Name() != f.Name():
		case p.Version() != f.Version():
			return []error{fmt.Errorf("it is of version %d of projection %q, and its module has version %d", f.Version(), f.Name(), p.Version())}
		default:
			return nil
		}
	}
	return []error{noProjection(f.Name())}
}

func noProjection(name string) error {
	return fmt.Errorf("no module has the projection %q: add it to Projections", name)
}

// variable is one in a path, with a pattern or without.
var variable = regexp.MustCompile(`\{([^{}/:]+)(?::(?:[^{}]|\{[^{}]*\})*)?\}`)

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
