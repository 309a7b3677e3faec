package rowmap

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/57528e99/recount/internal/pgsql"
)

// Column is one column and the place of its value in a Go value.
type Column struct {
	// Name is the column's name, not quoted.
	Name string
	// Type is its SQL type.
	Type string
	// Nullable says that the column may be NULL.
	Nullable bool

	kind kind
	// index leads to the field; none: the value itself is the column's.
	index   []int
	pointer bool
	goType  reflect.Type // behind the pointer, if it is one
}

// Columns are the columns of one Go type.
type Columns []Column

// Names returns the names of the columns.
func (cs Columns) Names() []string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = c.Name
	}
	return names
}

// Find returns the column of the given name.
func (cs Columns) Find(name string) (Column, bool) {
	for _, c := range cs {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Definition is the column as CREATE TABLE wants it, with its name quoted.
func (c Column) Definition() string {
	def := pgsql.Name(c.Name) + " " + c.kind.ddl
	if !c.Nullable {
		def += " NOT NULL"
	}
	return def
}

func (c Column) field(v reflect.Value) reflect.Value {
	switch len(c.index) {
	case 0:
		return v
	case 1:
		return v.Field(c.index[0])
	default:
		return v.FieldByIndex(c.index)
	}
}

// Array returns one array parameter with this column of every value.
// A value that cannot be written is a *ValueError.
func (c Column) Array(values []reflect.Value) (any, error) {
	return c.kind.values.many(c, values)
}

// Args returns the columns of v as one parameter each, nil being NULL.
// A value that cannot be written is a *ValueError.
func (cs Columns) Args(v reflect.Value) ([]any, error) {
	args := make([]any, len(cs))
	for i, c := range cs {
		field := c.field(v)
		if c.pointer {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		}
		arg, err := c.kind.values.one(field)
		if err != nil {
			return nil, &ValueError{Column: c.Name, Err: err}
		}
		args[i] = arg
	}
	return args, nil
}

// Targets appends to dst the places to scan the columns of v to. V must be
// addressable and zero.
func (cs Columns) Targets(dst []any, v reflect.Value) []any {
	for _, c := range cs {
		dst = append(dst, c.field(v).Addr().Interface())
	}
	return dst
}

// Stored returns places to scan the columns of a row to as the table has them, whatever their Go
// types would make of them: a jsonb column as its text. Values returns what was scanned.
func (cs Columns) Stored() []any {
	targets := make([]any, len(cs))
	for i, c := range cs {
		targets[i] = c.kind.values.target()
	}
	return targets
}

// Values returns what was scanned to the places of Stored as Args returns parameters, nil being
// NULL.
func (cs Columns) Values(targets []any) []any {
	values := make([]any, len(cs))
	for i, c := range cs {
		values[i] = c.kind.values.scanned(targets[i])
	}
	return values
}

// Normalize takes from v what its columns would lose: the location of times and what in them is
// finer than a microsecond. V must be addressable. A time outside the years 1 to 9999 and text with
// a NUL or that is not UTF-8, which no column holds, are a *ValueError.
func (cs Columns) Normalize(v reflect.Value) error {
	for _, c := range cs {
		if c.kind.normalize == nil {
			continue
		}
		field := c.field(v)
		if c.pointer && field.IsNil() {
			continue
		}
		if err := c.kind.normalize(field); err != nil {
			return &ValueError{Column: c.Name, Err: err}
		}
	}
	return nil
}

// Unshare gives v, in which a row was copied, what it has as JSON of its own, as it would come back
// from the table. A value that cannot be written is a *ValueError.
func (cs Columns) Unshare(v reflect.Value) error {
	for _, c := range cs {
		if c.Type != "jsonb" {
			continue
		}
		field := c.field(v)
		text, err := json.Marshal(field.Interface())
		if err == nil {
			own := reflect.New(field.Type())
			err = json.Unmarshal(text, own.Interface())
			field.Set(own.Elem())
		}
		if err != nil {
			return &ValueError{Column: c.Name, Err: err}
		}
	}
	return nil
}

func normalizeTime(field reflect.Value) error {
	if field.Kind() != reflect.Pointer {
		return normalizeTimeAt(field.Addr().Interface().(*time.Time))
	}
	// The time may be shared with the event.
	t := timeOf(field.Elem())
	if err := normalizeTimeAt(&t); err != nil {
		return err
	}
	field.Set(reflect.ValueOf(&t))
	return nil
}

func normalizeTimeAt(t *time.Time) error {
	*t = t.UTC().Truncate(time.Microsecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return fmt.Errorf("the time is in the year %d, years 1 to 9999 can be kept", t.Year())
	}
	return nil
}

func normalizeText(field reflect.Value) error {
	s := reflect.Indirect(field).String()
	if strings.IndexByte(s, 0) >= 0 {
		return errors.New("the text has a NUL character, which PostgreSQL does not keep")
	}
	if !utf8.ValidString(s) {
		return errors.New("the text is not valid UTF-8")
	}
	return nil
}

// Convert returns x as the Go type of the column, for use as a parameter; nil is NULL. X must be of
// the column's type, of the same basic type, or an integer that fits. Else the error is a
// *ValueError.
func (c Column) Convert(x any) (any, error) {
	v := reflect.ValueOf(x)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		if !c.Nullable {
			return nil, &ValueError{Column: c.Name, Err: fmt.Errorf("it is never NULL")}
		}
		return nil, nil
	}
	if !c.accepts(v) {
		return nil, &ValueError{Column: c.Name, Err: fmt.Errorf("a %s is needed, this is the %s %v", c.goType, v.Type(), v)}
	}
	single := Columns{{Name: c.Name, kind: c.kind}}
	value := reflect.New(c.goType).Elem()
	value.Set(v.Convert(c.goType))
	if err := single.Normalize(value); err != nil {
		return nil, err
	}
	args, err := single.Args(value)
	if err != nil {
		return nil, err
	}
	return args[0], nil
}

// Value returns the column of v, a value of the type that the columns are of.
func (c Column) Value(v reflect.Value) any { return c.field(v).Interface() }

// New returns a pointer to a zero value of the column's Go type, which is not behind a pointer.
func (c Column) New() reflect.Value { return reflect.New(c.goType) }

func (c Column) accepts(v reflect.Value) bool {
	if c.kind.sql == bigint.sql && v.CanInt() {
		low := reflect.New(c.goType).Elem()
		return low.CanInt() && !low.OverflowInt(v.Int()) ||
			low.CanUint() && v.Int() >= 0 && !low.OverflowUint(uint64(v.Int()))
	}
	return v.Kind() == c.goType.Kind() && v.CanConvert(c.goType)
}
