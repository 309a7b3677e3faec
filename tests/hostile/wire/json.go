package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// A body is a tree that keeps the order of its members and may hold what is no
// JSON at all: *Object, *Array, string, int64, bool, nil or Raw.
type (
	// Object is a JSON object.
	Object struct{ members []member }
	member struct {
		name  string
		value any
	}
	// Array has its Items in order.
	Array struct{ Items []any }
	// Raw is written as it is.
	Raw string
)

// Members makes an Object of names and values in turn.
func Members(pairs ...any) *Object {
	o := &Object{}
	for i := 0; i < len(pairs); i += 2 {
		o.members = append(o.members, member{pairs[i].(string), pairs[i+1]})
	}
	return o
}

// Add adds a member at the end.
func (o *Object) Add(name string, value any) { o.members = append(o.members, member{name, value}) }

// Drop takes the member of a name away.
func (o *Object) Drop(name string) {
	o.members = slices.DeleteFunc(o.members, func(m member) bool { return m.name == name })
}

func render(v any) []byte { return appendJSON(nil, v) }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case *Object:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSON(b, m.name), ':')
			b = appendJSON(b, m.value)
		}
		return append(b, '}')
	case *Array:
		b = append(b, '[')
		for i, item := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	case Raw:
		return append(b, v...)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("a body of %T: %v", v, err)) // one of the types above only
	}
	return append(b, bytes.TrimSpace(text.Bytes())...)
}

func cloneTree(v any) any {
	switch v := v.(type) {
	case *Object:
		o := &Object{slices.Clone(v.members)}
		for i := range o.members {
			o.members[i].value = cloneTree(o.members[i].value)
		}
		return o
	case *Array:
		a := &Array{slices.Clone(v.Items)}
		for i := range a.Items {
			a.Items[i] = cloneTree(a.Items[i])
		}
		return a
	}
	return v
}

// place is a member somewhere in a body.
type place struct {
	pointer string
	in      *Object
	at      int
}

func (p place) member() *member { return &p.in.members[p.at] }

func (p place) drop() { p.in.members = slices.Delete(p.in.members, p.at, p.at+1) }

// insert puts a member behind p.
func (p place) insert(m member) { p.in.members = slices.Insert(p.in.members, p.at+1, m) }

// places lists the members of a tree, those of objects in arrays too.
func places(v any, pointer string) (found []place) {
	switch v := v.(type) {
	case *Object:
		for i, m := range v.members {
			p := pointer + "/" + m.name
			found = append(append(found, place{p, v, i}), places(m.value, p)...)
		}
	case *Array:
		for i, item := range v.Items {
			found = append(found, places(item, fmt.Sprintf("%s/%d", pointer, i))...)
		}
	}
	return found
}
