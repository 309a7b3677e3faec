package httpapi

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

// IsRequired reports whether a field of a body has the tag `http:"required"`: a request that leaves it out is 400 invalid-body,
// and the OpenAPI document says so. Whether 0 or "" will do is for Validate, or the rules, to say.
func IsRequired(f reflect.StructField) bool { return f.Tag.Get("http") == "required" }

// requirement is a member that must be sent, or that has some.
type requirement struct {
	index    []int
	name     string
	required bool
	within   []requirement
}

// requirements are those of types, by them.
var requirements sync.Map

// requirementsOf returns what must be sent for a type, or what it is a list of or points to. Within are the types it is in: of a type
// that has itself in it nothing is required there.
func requirementsOf(t reflect.Type, within ...reflect.Type) (all []requirement) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := requirements.Load(t); ok {
		return known.([]requirement)
	}
	for _, outer := range within {
		if outer == t {
			return nil
		}
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "" || name == "-" {
			continue
		}
		r := requirement{f.Index, name, IsRequired(f), requirementsOf(f.Type, append(within, t)...)}
		if r.required || len(r.within) > 0 {
			all = append(all, r)
		}
	}
	if len(within) == 0 {
		requirements.Store(t, all)
	}
	return all
}

// missingMember returns the path to the first member of a body that must be sent and was not; nil: there is none. V is what the body
// was decoded to: what is not zero there was sent.
func missingMember(body []byte, v reflect.Value) []string {
	var sent any
	for _, path := range zeroMembers(v, requirementsOf(v.Type()), nil) {
		if sent == nil && json.Unmarshal(body, &sent) != nil {
			return nil // it was decoded before
		}
		if !isThere(sent, path) {
			return path
		}
	}
	return nil
}

// zeroMembers returns the paths to those that must be sent and are zero.
func zeroMembers(v reflect.Value, all []requirement, at []string) (zero [][]string) {
	for len(all) > 0 && v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if len(all) > 0 && v.Kind() == reflect.Slice {
		for i := range v.Len() {
			zero = append(zero, zeroMembers(v.Index(i), all, append(at[:len(at):len(at)], strconv.Itoa(i)))...)
		}
		return zero
	}
	for _, r := range all {
		field, err := v.FieldByIndexErr(r.index)
		if err != nil {
			continue // it is in a struct that was not sent
		}
		path := append(at[:len(at):len(at)], r.name)
		if r.required && field.IsZero() {
			zero = append(zero, path)
			continue
		}
		zero = append(zero, zeroMembers(field, r.within, path)...)
	}
	return zero
}

// isThere reports whether JSON has a member that is not null.
func isThere(value any, path []string) bool {
	for _, name := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			if i, err := strconv.Atoi(name); err == nil && i < len(v) {
				value = v[i]
			}
		}
	}
	return value != nil
}
