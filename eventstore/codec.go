package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Codec turns Go values into events and back. It is safe for concurrent use.
type Codec struct {
	byName map[string]Type
	byGo   map[reflect.Type]Type
}

// NewCodec returns a codec for the given types. Two types of one name, one Go
// type under two names, or a chain of upcasters with a gap or a change of type
// in its middle is ErrInvalidType.
func NewCodec(types ...Type) (*Codec, error) {
	c := &Codec{byName: make(map[string]Type), byGo: make(map[reflect.Type]Type)}
	for _, t := range types {
		if err := t.check(); err != nil {
			return nil, err
		}
		if _, ok := c.byName[t.name]; ok {
			return nil, fmt.Errorf("event type %q is registered twice: %w", t.name, ErrInvalidType)
		}
		if other, ok := c.byGo[t.goType]; ok {
			return nil, fmt.Errorf("%s is registered as %q and %q: %w", t.goType, other.name, t.name, ErrInvalidType)
		}
		c.byName[t.name] = t
		c.byGo[t.goType] = t
	}
	return c, nil
}

// Encode returns v, a value of a registered type, as an event without id and
// metadata. A value of another type is *UnknownTypeError.
func (c *Codec) Encode(v any) (Event, error) {
	t, ok := c.byGo[reflect.TypeOf(v)]
	if !ok {
		return Event{}, &UnknownTypeError{Type: fmt.Sprintf("%T", v)}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return Event{}, fmt.Errorf("encode event type %q: %w", t.name, err)
	}
	return Event{Type: t.name, SchemaVersion: t.version, ContentType: ContentTypeJSON, Data: data}, nil
}

// Decode returns the event's data as a value of the Go type registered for its
// name, run through the upcasters if it was written in an older version.
// Unknown names and versions are *UnknownTypeError and *UnknownVersionError; data
// that does not fit, or that an upcaster refuses, is ErrUndecodable.
func (c *Codec) Decode(e Event) (any, error) {
	t, ok := c.byName[e.Type]
	if !ok {
		return nil, &UnknownTypeError{Type: e.Type}
	}
	v, err := t.decode(e)
	switch {
	case err == nil:
		return v, nil
	case !errors.Is(err, ErrUnknownVersion):
		err = fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	return nil, fmt.Errorf("decode event type %q version %d: %w", e.Type, e.SchemaVersion, err)
}

// TypeName returns the event type name that a Go type is registered under.
func (c *Codec) TypeName(t reflect.Type) (name string, ok bool) {
	found, ok := c.byGo[t]
	return found.name, ok
}

// TypeNamesOf returns the event type names, in alphabetical order, of the Go types
// registered that are t or, if t is an interface, implement it.
func (c *Codec) TypeNamesOf(t reflect.Type) []string {
	var names []string
	for goType, found := range c.byGo {
		if goType.AssignableTo(t) {
			names = append(names, found.name)
		}
	}
	slices.Sort(names)
	return names
}

// TypeNames returns the registered event type names in alphabetical order.
func (c *Codec) TypeNames() []string {
	return slices.Sorted(maps.Keys(c.byName))
}
