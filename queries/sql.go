package queries

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/rowmap"
)

var sourceName = regexp.MustCompile(`\{([a-z][a-z0-9_]*)\}`)

// readOnly keeps the statement that follows in the transaction from writing.
const readOnly = `SELECT set_config('transaction_read_only', 'on', true)`

// SQL runs a statement that reads, when all projections in it have come to the token, and returns
// its rows. A projection is named in braces, as in
//
//	SELECT sku, sum(units) AS units FROM {sales_by_sku} WHERE day >= $1 GROUP BY sku
//
// which stands for the table of the generation that this program reads. T is a struct whose fields
// are the columns by name, as those of a fold's row, or a type for a single column.
//
// All rows are in memory at once; SQLPage is for those that may be many or large.
//
// Errors: ErrInvalidQuery, *ParameterError, *BehindError, *eventstore.LogChangedError, ErrInMemory,
// those of the statement.
func SQL[T any](ctx context.Context, r *Reader, token eventstore.Token, sql string, args ...any) ([]T, error) {
	rows, _, err := selectRows[T](ctx, r, 0, token, sql, args)
	return rows, err
}

// selectRows is SQL for a page of at most limit rows, 0: for all. It reports whether there are
// more.
func selectRows[T any](ctx context.Context, r *Reader, limit int, token eventstore.Token, sql string, args []any) (all []T, more bool, err error) {
	if r.config.InMemory != nil {
		return nil, false, ErrInMemory
	}
	sources, err := r.sources(sql)
	if err != nil {
		return nil, false, err
	}
	for i, arg := range args {
		if !storable(arg) {
			return nil, false, &ParameterError{i + 1, "has a NUL or is not UTF-8"}
		}
	}
	columns, err := columnsOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, false, err
	}
	var size pageSize
	_, err = r.read(ctx, sources, token, func(b *pgx.Batch, tables []string, use func() bool) {
		b.Queue(readOnly)
		b.Queue(fill(sql, sources, tables), args...).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			all, size = nil, pageSize{limit: limit}
			if !use() || rows.Err() != nil {
				return rows.Err()
			}
			ordered, err := columns.inOrder(rows)
			for err == nil && rows.Next() && size.hasRoom(rows) {
				var v T
				err = scan(rows, ordered, reflect.ValueOf(&v).Elem())
				all = append(all, v)
			}
			if err != nil {
				return err
			}
			return rows.Err()
		})
	})
	if err != nil {
		return nil, false, fmt.Errorf("query %s: %w", names(sources), unreadable(err, args))
	}
	return all, size.full, nil
}

// unreadable returns a *ParameterError if PostgreSQL could not read a text among args as what the statement
// takes, else err.
func unreadable(err error, args []any) error {
	texts := make(map[int]string)
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			texts[i+1] = text
		}
	}
	if number, message := pgerr.UnreadText(err, texts); number > 0 {
		return &ParameterError{number, "is not what the statement takes: " + message}
	}
	return err
}

// sources returns the projections that a statement names, each once.
func (r *Reader) sources(sql string) (all []source, _ error) {
	named, err := projectionsIn(sql)
	for _, name := range named {
		all = append(all, source{projection: name, version: r.versions[name]})
	}
	return all, err
}

// projectionsIn returns the names of the projections in a statement, each once.
func projectionsIn(sql string) (all []string, _ error) {
	for _, match := range sourceName.FindAllStringSubmatch(sql, -1) {
		if !slices.Contains(all, match[1]) {
			all = append(all, match[1])
		}
	}
	if len(all) == 0 {
		return nil, invalidf("the statement names no projection; write its name in braces, as in SELECT … FROM {orders}")
	}
	return all, nil
}

// sqlToken is what a statement is made of that may have a '$' in it: texts, quoted names, comments and names,
// and last, as the group, the number of a parameter.
var sqlToken = regexp.MustCompile(`(?s)[eE]'(?:[^'\\]|\\.)*'|'[^']*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$|[\pL_][\pL0-9_$]*|\$([1-9][0-9]*)`)

// CheckSQL returns the projections that a statement of SQL[T] names, and those mistakes that can be found
// without a database. Params are the names of $1, $2, …: the statement has all of them, and no others.
// OrderBy, if there is any, is that of a SQLPage[T].
func CheckSQL[T any](sql string, params, orderBy []string) (projections []string, mistakes []error) {
	add := func(err error) {
		if err != nil {
			mistakes = append(mistakes, err)
		}
	}
	projections, err := projectionsIn(sql)
	add(err)
	used := make(map[string]bool)
	for _, match := range sqlToken.FindAllStringSubmatch(sql, -1) {
		used[match[1]] = true
	}
	delete(used, "") // of tokens that are no parameters
	for i, name := range params {
		number := strconv.Itoa(i + 1)
		if !used[number] {
			add(invalidf("the statement has no $%s, which is to be %s", number, name))
		}
		delete(used, number)
	}
	for _, number := range slices.Sorted(maps.Keys(used)) {
		add(invalidf("the statement has $%s, and %d parameters have names", number, len(params)))
	}
	if len(orderBy) > 0 {
		_, _, err = orderOf[T](orderBy)
	} else {
		_, err = columnsOf(reflect.TypeFor[T]())
	}
	add(err)
	return projections, mistakes
}

// TrySQL runs a statement of SQL[T] on tables that are there in a transaction, by the names of their projections, with n parameters that are
// all NULL, to find the mistakes that only the database knows: what it refuses, and columns that T has no fields for. OrderBy, if there is
// any, is that of a SQLPage[T], which leaves out columns without a field.
//
// Errors: ErrInvalidQuery, those of the statement.
func TrySQL[T any](ctx context.Context, tx pgx.Tx, tables map[string]string, sql string, n int, orderBy []string) error {
	columns, err := columnsOf(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	for name, table := range tables {
		sql = strings.ReplaceAll(sql, "{"+name+"}", table)
	}
	if len(orderBy) > 0 {
		sql = pageOf(columns.fields, sql)
	}
	rows, err := tx.Query(ctx, sql, make([]any, n)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	rows.Next() // what the columns are may only be known then
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = columns.inOrder(rows)
	return err
}

func fill(sql string, sources []source, tables []string) string {
	var pairs []string
	for i, s := range sources {
		pairs = append(pairs, "{"+s.projection+"}", tables[i])
	}
	return strings.NewReplacer(pairs...).Replace(sql)
}

func names(sources []source) string {
	all := make([]string, len(sources))
	for i, s := range sources {
		all[i] = s.projection
	}
	return strings.Join(all, ", ")
}

// resultColumns are where the columns of a result go.
type resultColumns struct {
	goType reflect.Type
	// single is set for a type that is one column, of whatever name.
	single *rowmap.Column
	fields rowmap.Columns
}

func columnsOf(t reflect.Type) (columns resultColumns, err error) {
	columns.goType = t
	if t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() {
		columns.fields, err = rowmap.Of(t)
	} else {
		var c rowmap.Column
		c, err = rowmap.Scalar(t, "value")
		columns.single = &c
	}
	if err != nil {
		return columns, invalidf("%w", err)
	}
	return columns, nil
}

// inOrder returns the columns in the order of the result's.
func (r resultColumns) inOrder(rows pgx.Rows) (rowmap.Columns, error) {
	result := rows.FieldDescriptions()
	if r.single != nil {
		if len(result) != 1 {
			return nil, invalidf("%s takes one column, the statement has %d", r.goType, len(result))
		}
		return rowmap.Columns{*r.single}, nil
	}
	var ordered rowmap.Columns
	for _, d := range result {
		c, ok := r.fields.Find(d.Name)
		if !ok {
			return nil, invalidf("the column %q has no field in %s; fields are %s", d.Name, r.goType, strings.Join(r.fields.Names(), ", "))
		}
		ordered = append(ordered, c)
	}
	for _, c := range r.fields {
		if _, ok := ordered.Find(c.Name); !ok {
			return nil, invalidf("the statement has no column %q, which %s needs", c.Name, r.goType)
		}
	}
	return ordered, nil
}
