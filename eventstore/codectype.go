package eventstore

import (
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Type ties a Go type to the name and schema version that its events have in
// the log. Make one with TypeOf.
type Type struct {
	name string
	// former are the names that events of the type were written under before.
	former    []string
	version   int
	goType    reflect.Type
	unmarshal func([]byte) (any, error)
	// upcasters are in the order of the versions they read; the last one
	// yields goType.
	upcasters []Upcaster
}

// TypeOf says that values of T are written as events of the given type name and
// schema version (from 1), as JSON. Options are Upcast, for older versions, and
// Was, for former names. T is a type of its own: no pointer, no interface.
//
// Once events of a version are in a log, never change what the version means:
// add a version and an upcaster. Once a name is in a log, never take it away:
// give the type another and say what it Was.
func TypeOf[T any](name string, version int, options ...TypeOption) Type {
	t := Type{
		name:      name,
		version:   version,
		goType:    reflect.TypeFor[T](),
		unmarshal: unmarshalAs[T],
	}
	for _, o := range options {
		o.addTo(&t)
	}
	slices.SortStableFunc(t.upcasters, func(a, b Upcaster) int { return a.from - b.from })
	return t
}

// NotAdded returns the error for a Go type of events that a program takes and does not have, with what to write where.
func NotAdded(t reflect.Type) error {
	if t.Kind() == reflect.Interface {
		return fmt.Errorf("no event of the program is a %s: add those that are to the Events of their aggregate", t)
	}
	var name string
	for part := range strings.SplitSeq(strings.TrimPrefix(t.String(), "main."), ".") {
		name += strings.ToUpper(part[:min(1, len(part))]) + part[min(1, len(part)):]
	}
	return fmt.Errorf("%s is no event of the program: add app.Event[%s](%q, 1) to the Events of its aggregate, or eventstore.TypeOf of it to a codec of your own", t, t, name)
}

// TypeOption is what TypeOf takes besides a name and a version: Upcast and Was.
type TypeOption interface{ addTo(*Type) }

type formerNames []string

// Was gives names that an event type had before: events in the log under them are
// of the type, with the versions that it counts. New events get its present name.
func Was(names ...string) TypeOption { return formerNames(names) }

func (names formerNames) addTo(t *Type) { t.former = append(t.former, names...) }

// names returns the present name and then the former ones.
func (t Type) names() []string { return append([]string{t.name}, t.former...) }

// oldest returns the lowest version that can be read.
func (t Type) oldest() int { return t.version - len(t.upcasters) }

// Upcaster reads one older version of an event type. Make one with Upcast.
type Upcaster struct {
	from      int
	old, new  reflect.Type
	unmarshal func([]byte) (any, error)
	convert   func(any) (any, error)
}

// Upcast turns version from of an event type, read as Old, into the next
// version, New. New is the Old of the next upcaster or, at the end of the
// chain, the type given to TypeOf.
func Upcast[Old, New any](from int, f func(Old) (New, error)) Upcaster {
	return Upcaster{
		from:      from,
		old:       reflect.TypeFor[Old](),
		new:       reflect.TypeFor[New](),
		unmarshal: unmarshalAs[Old],
		convert: func(v any) (any, error) {
			// The value fails the assertion only if Old is an interface and
			// the data was null; f gets the nil that it stands for.
			old, _ := v.(Old)
			return f(old)
		},
	}
}

func (u Upcaster) addTo(t *Type) { t.upcasters = append(t.upcasters, u) }

func unmarshalAs[T any](data []byte) (any, error) {
	var v T
	err := json.Unmarshal(data, &v, likeEncodingJSON)
	return v, err
}

// likeEncodingJSON reads what encoding/json reads, and as it does, in a third of
// the time, which shows in rebuilds. Number is encoding/json's own.
var likeEncodingJSON = json.JoinOptions(jsonv1.DefaultOptionsV1(), json.WithUnmarshalers(json.UnmarshalFromFunc(
	func(d *jsontext.Decoder, n *stdjson.Number) error {
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		return stdjson.Unmarshal(value, n)
	})))

func (t Type) check() error {
	if t.goType == nil {
		return fmt.Errorf("the zero Type was given, make one with TypeOf: %w", ErrInvalidType)
	}
	if t.goType.Kind() == reflect.Pointer || t.goType.Kind() == reflect.Interface {
		return fmt.Errorf("event type %q: %v is a pointer or an interface, register the type it stands for: %w", t.name, t.goType, ErrInvalidType)
	}
	for _, name := range t.names() {
		if err := validateName("type", name, maxTypeBytes); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidType, err)
		}
	}
	if t.version < 1 || t.version > 1<<15 {
		return fmt.Errorf("event type %q: schema version %d must be from 1 to 32768: %w", t.name, t.version, ErrInvalidType)
	}
	return t.checkChain()
}

func (t Type) checkChain() error {
	want, wantType := t.version-1, t.goType
	for _, up := range slices.Backward(t.upcasters) {
		if up.from != want || up.from < 1 {
			return fmt.Errorf("event type %q: an upcaster reads version %d; they must read the versions right below %d, each once, none below 1: %w",
				t.name, up.from, t.version, ErrInvalidType)
		}
		if up.new != wantType {
			return fmt.Errorf("event type %q: the upcaster from version %d makes %s, version %d is %s: %w",
				t.name, up.from, up.new, up.from+1, wantType, ErrInvalidType)
		}
		want, wantType = up.from-1, up.old
	}
	return nil
}

func (t Type) decode(e Event) (any, error) {
	if e.ContentType != "" && e.ContentType != ContentTypeJSON {
		return nil, fmt.Errorf("content type %q is not %s", e.ContentType, ContentTypeJSON)
	}
	version := max(e.SchemaVersion, 1)
	if version == t.version {
		return t.unmarshal(e.Data)
	}
	chain := t.upcasters[version-t.oldest():]
	v, err := chain[0].unmarshal(e.Data)
	for _, up := range chain {
		if err != nil {
			return nil, err
		}
		if v, err = up.convert(v); err != nil {
			err = fmt.Errorf("upcast from version %d: %w", up.from, err)
		}
	}
	return v, err
}
