package eventstore

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Codec turns Go values into events and back. It is safe for concurrent use.
type Codec struct {
	// byName has each type under its present and its former names.
	byName map[string]Type
	byGo   map[reflect.Type]Type
}

// NewCodec returns a codec for the given types. A name given twice, be it a former
// one, one Go type under two names, or a chain of upcasters with a gap or a change of type
// in its middle is ErrInvalidType.
func NewCodec(types ...Type) (*Codec, error) {
	c := &Codec{byName: make(map[string]Type), byGo: make(map[reflect.Type]Type)}
	for _, t := range types {
		if err := t.check(); err != nil {
			return nil, err
		}
		for _, name := range t.names() {
			if _, ok := c.byName[name]; ok {
				return nil, fmt.Errorf("event type %q is registered twice: %w", name, ErrInvalidType)
			}
			c.byName[name] = t
		}
		if other, ok := c.byGo[t.goType]; ok {
			return nil, fmt.Errorf("%s is registered as %q and %q: %w", t.goType, other.name, t.name, ErrInvalidType)
		}
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
// name, present or former, run through the upcasters if it was written in an
// older version. Unknown names and versions are *UnknownTypeError and
// *UnknownVersionError; data that does not fit, or that an upcaster refuses, is
// ErrUndecodable.
func (c *Codec) Decode(e Event) (any, error) {
	if err := c.Check(e.Type, e.SchemaVersion); err != nil {
		return nil, err
	}
	v, err := c.byName[e.Type].decode(e)
	if err != nil {
		return nil, fmt.Errorf("decode event type %q version %d: %w: %w", e.Type, e.SchemaVersion, ErrUndecodable, err)
	}
	return v, nil
}

// Check returns nil if events of a type name and schema version (0: 1) can be
// read, else *UnknownTypeError or *UnknownVersionError.
func (c *Codec) Check(name string, version int) error {
	t, ok := c.byName[name]
	switch version = cmp.Or(version, 1); {
	case !ok:
		return &UnknownTypeError{Type: name}
	case version < t.oldest() || version > t.version:
		return &UnknownVersionError{Type: name, Version: version, Oldest: t.oldest(), Newest: t.version}
	}
	return nil
}

// Knows reports whether a type has a name, present or former.
func (c *Codec) Knows(name string) bool {
	_, ok := c.byName[name]
	return ok
}

// Names returns all names of the type that has the given one: the present name,
// then the former ones in the order given. It is nil if no type has it.
func (c *Codec) Names(name string) []string {
	t, ok := c.byName[name]
	if !ok {
		return nil
	}
	return t.names()
}

// Version is a schema version of an event type.
type Version struct {
	Version int
	// Type is the Go type that events of the version are read as, before they are upcast.
	Type reflect.Type
}

// Versions returns those that can be read of the type that has a name, present or former: the oldest first.
func (c *Codec) Versions(name string) (all []Version) {
	t, ok := c.byName[name]
	if !ok {
		return nil
	}
	for _, up := range t.upcasters {
		all = append(all, Version{up.from, up.old})
	}
	return append(all, Version{t.version, t.goType})
}

// TypeName returns the present event type name of a registered Go type.
func (c *Codec) TypeName(t reflect.Type) (name string, ok bool) {
	found, ok := c.byGo[t]
	return found.name, ok
}

// TypeNamesOf returns the present event type names, in alphabetical order, of the Go types
// registered that are t or, if t is an interface, implement it.
func (c *Codec) TypeNamesOf(t reflect.Type) []string {
	var names []string
	for goType, found := range c.byGo {
		if goType == t || t.Kind() == reflect.Interface && goType.Implements(t) {
			names = append(names, found.name)
		}
	}
	slices.Sort(names)
	return names
}

// TypeNames returns all event type names, present and former, in alphabetical
// order.
func (c *Codec) TypeNames() []string {
	return slices.Sorted(maps.Keys(c.byName))
}
