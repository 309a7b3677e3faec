package openapi

import (
	"encoding"
	stdjson "encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/httpapi"
)

// object is one of JSON.
type object = map[string]any

// use says which JSON of a Go type a schema is of: a type may be several.
type use int

const (
	// body is what httpapi decodes: nothing else may be in it, and what must be is tagged so.
	body use = iota
	// answer is what httpapi encodes: a nil slice is []. There may be more in it some day.
	answer
	// event is what encoding/json encodes: a nil slice is null.
	event
)

// schemas makes JSON Schemas of Go types.
type schemas struct {
	// at is what references begin with.
	at string
	// definitions are the schemas of types with a name, by names that taken has of them.
	definitions object
	taken       map[typeIn]string
}

type typeIn struct {
	reflect.Type
	use use
}

func newSchemas(at string) *schemas {
	return &schemas{at, make(object), make(map[typeIn]string)}
}

// known are types whose JSON does not follow from what they are in Go.
var known = map[reflect.Type]object{
	reflect.TypeFor[time.Time]():          {"type": "string", "format": "date-time"},
	reflect.TypeFor[httpapi.Time]():       {"type": "string", "format": "date-time"},
	reflect.TypeFor[httpapi.Cursor]():     {"type": []string{"string", "null"}},
	reflect.TypeFor[uuid.UUID]():          {"type": "string", "format": "uuid"},
	reflect.TypeFor[stdjson.RawMessage](): {},
	reflect.TypeFor[stdjson.Number]():     {"type": "number"},
	reflect.TypeFor[jsontext.Value]():     {},
}

// Interfaces of types that are JSON, or a text, in a way of their own.
var (
	ofJSON = []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo](),
		reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[json.UnmarshalerFrom](),
	}
	ofText = []reflect.Type{
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextAppender](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

func implementsAny(t reflect.Type, interfaces []reflect.Type) bool {
	for _, i := range interfaces {
		if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

// of returns the schema of a type. What cannot be known of one that is JSON in a way of its own is left open.
func (s *schemas) of(t reflect.Type, in use) object {
	if o, ok := known[t]; ok {
		return copyOf(o)
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return nullable(s.of(t.Elem(), in))
	case implementsAny(t, ofJSON):
		return object{}
	case implementsAny(t, ofText):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Struct:
		if t.Name() == "" {
			return s.members(t, in)
		}
		return s.reference(t, in)
	case reflect.Slice, reflect.Array:
		return s.list(t, in)
	case reflect.Map:
		return nilIsNull(object{"type": "object", "additionalProperties": s.of(t.Elem(), in)}, in)
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return object{"type": "integer", "format": "int32"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return object{"type": "integer", "minimum": 0}
	}
	return object{} // an interface, or what has no JSON at all
}

func (s *schemas) list(t reflect.Type, in use) object {
	if t.Elem().Kind() == reflect.Uint8 && (t.Kind() == reflect.Slice || in != event) {
		text := object{"type": "string", "contentEncoding": "base64"}
		if t.Kind() == reflect.Array {
			return text
		}
		return nilIsNull(text, in)
	}
	all := object{"type": "array", "items": s.of(t.Elem(), in)}
	if t.Kind() == reflect.Array {
		all["minItems"], all["maxItems"] = t.Len(), t.Len()
		return all
	}
	return nilIsNull(all, in)
}

// reference returns a reference to the definition of a type, which it makes unless there is one.
func (s *schemas) reference(t reflect.Type, in use) object {
	key := typeIn{t, in}
	name, ok := s.taken[key]
	if !ok {
		name = s.freeName(t)
		s.define(name, key)
	}
	return s.to(name)
}

func (s *schemas) to(name string) object { return object{"$ref": s.at + name} }

// definition returns the schema that a reference is to, or the schema itself.
func (s *schemas) definition(reference object) object {
	if to, ok := reference["$ref"].(string); ok {
		return s.definitions[strings.TrimPrefix(to, s.at)].(object)
	}
	return reference
}

func (s *schemas) define(name string, key typeIn) {
	s.taken[key] = name
	s.definitions[name] = object{} // so that the name is taken while its members are looked at
	s.definitions[name] = s.members(key.Type, key.use)
}

// qualifiers are what is before the names in that of a type: httpapi. and example.org/shop. in
// httpapi.Page[example.org/shop.order].
var qualifiers = regexp.MustCompile(`[^\[\],*]*\.`)

// freeName makes a name of that of a type: PageOrder, for example. Others of the name have numbers behind it.
func (s *schemas) freeName(t reflect.Type) string {
	var name string
	for _, word := range strings.FieldsFunc(qualifiers.ReplaceAllString(t.String(), ""), func(r rune) bool { return strings.ContainsRune("[],*", r) }) {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	free := name
	for n := 2; s.definitions[free] != nil; n++ {
		free = name + strconv.Itoa(n)
	}
	return free
}

// members returns the schema of a struct, or of what else an event may be.
func (s *schemas) members(t reflect.Type, in use) object {
	if t.Kind() != reflect.Struct || known[t] != nil || implementsAny(t, ofJSON) || implementsAny(t, ofText) {
		return s.of(t, in)
	}
	properties := make(object)
	var required []string
	s.addMembers(t, in, func(name string, schema object, always bool) {
		if properties[name] != nil {
			return // one that is nearer
		}
		properties[name] = schema
		if always {
			required = append(required, name)
		}
	})
	o := object{"type": "object", "properties": properties}
	if in == body {
		o["additionalProperties"] = false
	}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// addMembers adds the members that a struct has in JSON: its own, then those of structs embedded in it.
func (s *schemas) addMembers(t reflect.Type, in use, add func(name string, schema object, always bool)) {
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		within := f.Type
		if within.Kind() == reflect.Pointer {
			within = within.Elem()
		}
		switch {
		case name == "-" && options == "":
			continue
		case f.Anonymous && name == "" && within.Kind() == reflect.Struct:
			embedded = append(embedded, within)
			continue
		case !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		omitted := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		schema := s.of(f.Type, in)
		if omitted && in != body {
			schema = s.of(within, in) // null is left out
			dropNull(schema)
		}
		if strings.Contains(options, "string") && schema["type"] != "object" {
			schema = object{"type": "string"}
		}
		always := in != body && !omitted
		if in == body && httpapi.IsRequired(f) {
			always = true
			dropNull(schema)
		}
		add(name, schema, always)
	}
	for _, t := range embedded {
		s.addMembers(t, in, add)
	}
}

// nilIsNull lets a slice or a map be null, except in answers, where none is empty.
func nilIsNull(o object, in use) object {
	if in == answer {
		return o
	}
	return nullable(o)
}

// nullable returns a schema that takes null too.
func nullable(o object) object {
	switch kind := o["type"].(type) {
	case string:
		o["type"] = []string{kind, "null"}
	case nil:
		if len(o) > 0 {
			return object{"anyOf": []object{o, {"type": "null"}}}
		}
	}
	return o
}

func dropNull(o object) {
	if kinds, ok := o["type"].([]string); ok {
		o["type"] = kinds[0]
	}
}

func copyOf(o object) object {
	c := make(object, len(o))
	for k, v := range o {
		c[k] = v
	}
	return c
}
