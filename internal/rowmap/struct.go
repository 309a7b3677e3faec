package rowmap

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
)

var (
	timeType    = reflect.TypeFor[time.Time]()
	uuidType    = reflect.TypeFor[uuid.UUID]()
	rawJSONType = reflect.TypeFor[json.RawMessage]()
	valuerType  = reflect.TypeFor[driver.Valuer]()
	scannerType = reflect.TypeFor[sql.Scanner]()
	toJSONType  = reflect.TypeFor[json.Marshaler]()
	textType    = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
)

var columnName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Of returns the columns of a struct type, in the order of its fields. Fields of embedded structs
// count as its own. The error joins everything that is wrong with the type.
func Of(t reflect.Type) (Columns, error) {
	if t.Kind() != reflect.Struct || t == timeType {
		return nil, fmt.Errorf("%s must be a struct, its fields are the columns", t)
	}
	columns, err := fieldsOf(t, nil)
	if err == nil && len(columns) == 0 {
		err = fmt.Errorf("%s has no fields, so there would be no columns", t)
	}
	seen := make(map[string]bool)
	for _, c := range columns {
		if seen[c.Name] {
			err = errors.Join(err, fmt.Errorf("%s: column %s occurs twice, give one of them another name by a `db` tag", t, c.Name))
		}
		seen[c.Name] = true
	}
	return columns, err
}

// Key returns the columns of a key type: the fields of a struct of scalars, whose columns names may
// repeat, or one column for a scalar, named so, or else "id".
func Key(t reflect.Type, names []string) (Columns, error) {
	columns, err := keyColumns(t, names)
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		if c.Nullable || c.kind.sql == document.sql || c.kind.sql == double.sql {
			err = errors.Join(err, fmt.Errorf("%s: column %s cannot be part of a key, use text, integers, booleans, times or UUIDs", t, c.Name))
		}
	}
	return columns, err
}

func keyColumns(t reflect.Type, names []string) (Columns, error) {
	if t.Kind() == reflect.Struct && t != timeType {
		columns, err := Of(t)
		if err == nil && len(names) > 0 && strings.Join(names, ",") != strings.Join(columns.Names(), ",") {
			err = fmt.Errorf("%s has the columns %s, not %s", t, strings.Join(columns.Names(), ", "), strings.Join(names, ", "))
		}
		return columns, err
	}
	if len(names) == 0 {
		names = []string{"id"}
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("a key of type %s has one column, not %d", t, len(names))
	}
	c, err := Scalar(t, names[0])
	return Columns{c}, err
}

// Scalar returns the column of a type that is one column by itself.
func Scalar(t reflect.Type, name string) (Column, error) {
	if !columnName.MatchString(name) {
		return Column{}, fmt.Errorf("column name %q must be lower-case letters, digits and underscores, at most 63", name)
	}
	c := Column{Name: name, goType: t}
	if t.Kind() == reflect.Pointer {
		c.pointer, c.Nullable, c.goType = true, true, t.Elem()
	}
	var err error
	if c.kind, err = kindOf(c.goType); err != nil {
		return Column{}, fmt.Errorf("column %s: %w", name, err)
	}
	c.Type = c.kind.sql
	c.Nullable = c.Nullable || c.kind.sql == bytea.sql
	return c, nil
}

func fieldsOf(t reflect.Type, path []int) (Columns, error) {
	var columns Columns
	var errs []error
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), path...), i)
		tag, _, _ := strings.Cut(f.Tag.Get("db"), ",")
		switch {
		case f.Name == "_":
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct && f.Type != timeType:
			inner, err := fieldsOf(f.Type, index)
			columns, errs = append(columns, inner...), append(errs, err)
		case !f.IsExported():
			errs = append(errs, fmt.Errorf("%s.%s is unexported and would be lost between two loads: export it or take it out", t, f.Name))
		case tag == "-":
			errs = append(errs, fmt.Errorf("%s.%s: every field of a row is kept, take it out of the row", t, f.Name))
		default:
			if tag == "" {
				tag = SnakeCase(f.Name)
			}
			c, err := Scalar(f.Type, tag)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s.%s: %w", t, f.Name, err))
				continue
			}
			c.index = index
			columns = append(columns, c)
		}
	}
	return columns, errors.Join(errs...)
}

func kindOf(t reflect.Type) (kind, error) {
	switch {
	case t == timeType:
		return timestamp, nil
	case t == rawJSONType:
		return document, nil
	case t.Kind() == reflect.Array && t.Len() == 16 && t.Elem().Kind() == reflect.Uint8:
		return uuidKind, nil
	case writesItself(t):
		return kind{}, fmt.Errorf("%s writes itself to SQL in its own way; use a plain type, and a pointer where it may be NULL", t)
	}
	switch t.Kind() {
	case reflect.String:
		return text, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return bigint, nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return unsigned, nil
	case reflect.Float32, reflect.Float64:
		return double, nil
	case reflect.Bool:
		return boolean, nil
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return kind{}, fmt.Errorf("%s does not fit into a bigint, use int64", t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return bytea, nil
		}
		return document, checkJSON(t, nil)
	case reflect.Struct, reflect.Map, reflect.Array:
		return document, checkJSON(t, nil)
	default:
		return kind{}, fmt.Errorf("%s cannot be a column", t)
	}
}

func writesItself(t reflect.Type) bool {
	return t.Implements(valuerType) || reflect.PointerTo(t).Implements(scannerType)
}

// checkJSON refuses types that do not come back from JSON as they went in. Types that write
// themselves as JSON are trusted.
func checkJSON(t reflect.Type, parents []reflect.Type) error {
	for _, p := range parents {
		if p == t {
			return nil
		}
	}
	parents = append(parents, t)
	if t == timeType || t == uuidType || t.Implements(toJSONType) || t.Implements(textType) {
		return nil
	}
	switch t.Kind() {
	case reflect.Interface:
		return fmt.Errorf("%s does not come back from JSON with the type it had, name a concrete type", t)
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("%s cannot be written as JSON", t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return checkJSON(t.Elem(), parents)
	case reflect.Map:
		return errors.Join(checkJSON(t.Key(), parents), checkJSON(t.Elem(), parents))
	case reflect.Struct:
		return checkJSONFields(t, parents)
	}
	return nil
}

func checkJSONFields(t reflect.Type, parents []reflect.Type) error {
	var errs []error
	for i := range t.NumField() {
		f := t.Field(i)
		embedded := f.Anonymous && f.Type.Kind() == reflect.Struct
		if f.Name == "_" {
			continue
		}
		if f.Tag.Get("json") == "-" || !f.IsExported() && !embedded {
			errs = append(errs, fmt.Errorf("%s.%s is not written as JSON and would be lost between two loads", t, f.Name))
			continue
		}
		errs = append(errs, checkJSON(f.Type, parents))
	}
	return errors.Join(errs...)
}
