package rowmap

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// kind is a family of Go types that share a column type.
type kind struct {
	sql    string
	ddl    string
	values codec
	// normalize changes a field, or what it points to, to what the column keeps of it.
	// It may be nil.
	normalize func(reflect.Value) error
}

var (
	// Text compares by bytes: the same everywhere, whatever the operating system's locales
	// do, and faster.
	text      = kind{"text", `text COLLATE "C"`, scalar[string]{plain(reflect.Value.String)}, normalizeText}
	bigint    = kind{"bigint", "bigint", scalar[int64]{plain(reflect.Value.Int)}, nil}
	unsigned  = kind{"bigint", "bigint", scalar[int64]{plain(func(v reflect.Value) int64 { return int64(v.Uint()) })}, nil}
	double    = kind{"double precision", "double precision", scalar[float64]{plain(reflect.Value.Float)}, nil}
	boolean   = kind{"boolean", "boolean", scalar[bool]{plain(reflect.Value.Bool)}, nil}
	timestamp = kind{"timestamptz", "timestamptz", scalar[time.Time]{plain(timeOf)}, normalizeTime}
	uuidKind  = kind{"uuid", "uuid", scalar[pgtype.UUID]{plain(uuidOf)}, nil}
	bytea     = kind{"bytea", "bytea", scalar[[]byte]{plain(reflect.Value.Bytes)}, nil}
	document  = kind{"jsonb", "jsonb", jsonText{scalar[string]{jsonOf}}, nil}
)

// codec turns fields of one kind into statement parameters.
type codec interface {
	// one returns the parameter for a value.
	one(v reflect.Value) (any, error)
	// many returns one array parameter for a field of many values.
	many(c Column, values []reflect.Value) (any, error)
	// target returns a place to scan a column to, scanned what is there then as one returns it.
	target() any
	scanned(target any) any
}

type scalar[T any] struct {
	get func(reflect.Value) (T, error)
}

func plain[T any](get func(reflect.Value) T) func(reflect.Value) (T, error) {
	return func(v reflect.Value) (T, error) { return get(v), nil }
}

func (s scalar[T]) one(v reflect.Value) (any, error) { return s.get(v) }

func (scalar[T]) target() any { return new(*T) }

func (scalar[T]) scanned(target any) any {
	if value := *target.(**T); value != nil {
		return *value
	}
	return nil
}

// jsonText is scanned as bytes: the driver takes the JSON null for NULL where it scans to a string
// that may be nil.
type jsonText struct{ scalar[string] }

func (jsonText) target() any { return new([]byte) }

func (jsonText) scanned(target any) any {
	if text := *target.(*[]byte); text != nil {
		return string(text)
	}
	return nil
}

func (s scalar[T]) many(c Column, values []reflect.Value) (any, error) {
	all := make([]T, len(values))
	var pointers []*T
	if c.pointer {
		pointers = make([]*T, len(values))
	}
	for i, v := range values {
		field := c.field(v)
		if c.pointer {
			if field.IsNil() {
				continue
			}
			field, pointers[i] = field.Elem(), &all[i]
		}
		var err error
		if all[i], err = s.get(field); err != nil {
			return nil, &ValueError{Column: c.Name, Err: err}
		}
	}
	if c.pointer {
		return pointers, nil
	}
	return all, nil
}

func timeOf(v reflect.Value) time.Time { return v.Interface().(time.Time) }

func uuidOf(v reflect.Value) pgtype.UUID {
	u := pgtype.UUID{Valid: true}
	reflect.Copy(reflect.ValueOf(u.Bytes[:]), v)
	return u
}

func jsonOf(v reflect.Value) (string, error) {
	b, err := json.Marshal(v.Interface())
	return string(b), err
}

// ValueError is returned for a value that its column cannot hold.
type ValueError struct {
	Column string
	Err    error
}

func (e *ValueError) Error() string { return fmt.Sprintf("column %s: %v", e.Column, e.Err) }

// Unwrap returns the reason.
func (e *ValueError) Unwrap() error { return e.Err }
