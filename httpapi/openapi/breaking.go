package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Breaking returns what clients of a document cannot rely on any longer after it has become another one, a
// line each, in order: routes, parameters, members and events that are gone, types that are others, what must
// be sent now, what may be missing now. What was added is none of that. Both are as Document made them.
func Breaking(before, after []byte) ([]string, error) {
	var c comparison
	for document, text := range map[*object][]byte{&c.before: before, &c.after: after} {
		if err := json.Unmarshal(text, document); err != nil {
			return nil, fmt.Errorf("read an OpenAPI document: %w", err)
		}
	}
	c.compared = make(map[string]bool)
	for _, path := range sorted(at(c.before, "paths")) {
		for _, method := range sorted(at(c.before, "paths", path)) {
			c.operation(path, method)
		}
	}
	for _, name := range sorted(at(c.before, "x-events")) {
		for _, version := range sorted(at(c.before, "x-events", name, "versions")) {
			c.schema("event "+name+" version "+version, out,
				at(c.before, "x-events", name, "versions", version, "schema"), at(c.after, "x-events", name, "versions", version, "schema"))
		}
	}
	return c.found, nil
}

// direction says who makes the JSON of a schema.
type direction bool

const (
	// in: clients send it, and the server must still take what it took.
	in direction = false
	// out: the server sends it, and clients must still find what they found.
	out direction = true
)

type comparison struct {
	before, after object
	found         []string
	// compared are the pairs of references that were compared: types may have themselves in them.
	compared map[string]bool
}

func (c *comparison) breaks(where, format string, args ...any) {
	c.found = append(c.found, where+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) operation(path, method string) {
	where := strings.ToUpper(method) + " " + path
	before, after := at(c.before, "paths", path, method), at(c.after, "paths", path, method)
	if after == nil {
		c.breaks(where, "the route is gone")
		return
	}
	c.parameters(where, before, after)
	c.requestBody(where, at(before, "requestBody"), at(after, "requestBody"))
	for _, status := range sorted(at(before, "responses")) {
		if status >= "300" {
			continue // a client must know what to do about any problem
		}
		for _, media := range sorted(at(before, "responses", status, "content")) {
			content := at(after, "responses", status, "content", media)
			if content == nil {
				c.breaks(where, "there is no answer %s of %s any longer", status, media)
				continue
			}
			c.schema(where+" answer "+status, out, at(before, "responses", status, "content", media, "schema"), at(content, "schema"))
		}
	}
}

func (c *comparison) parameters(where string, before, after object) {
	old, now := parametersByName(c.before, before), parametersByName(c.after, after)
	for _, name := range sorted(old) {
		if now[name] == nil {
			c.breaks(where, "parameter %s is gone", name)
			continue
		}
		c.schema(where+" parameter "+name, in, at(old, name, "schema"), at(now, name, "schema"))
	}
	for _, name := range sorted(now) {
		if at(now, name)["required"] == true && at(old, name)["required"] != true {
			c.breaks(where, "parameter %s must be sent", name)
		}
	}
}

func (c *comparison) requestBody(where string, before, after object) {
	where += " body"
	if after["required"] == true && before["required"] != true {
		c.breaks(where, "must be sent")
	}
	if before == nil {
		return
	}
	if after == nil {
		c.breaks(where, "is gone")
		return
	}
	c.schema(where, in, at(before, "content", "application/json", "schema"), at(after, "content", "application/json", "schema"))
}

// schema compares what is at a place. Without a schema there may be anything.
func (c *comparison) schema(where string, d direction, before, after object) {
	if after == nil && before != nil {
		c.breaks(where, "is gone")
		return
	}
	if pair := fmt.Sprint(before["$ref"], after["$ref"], d); before["$ref"] != nil {
		if c.compared[where+pair] || strings.Count(where, "/") > 32 {
			return
		}
		c.compared[where+pair] = true
	}
	before, after = resolve(c.before, before), resolve(c.after, after)
	c.kinds(where, d, typesOf(c.before, before), typesOf(c.after, after))
	if f := before["format"]; f != nil && f != after["format"] {
		c.breaks(where, "the format %v is now %v", f, after["format"])
	}
	if d == in {
		c.bounds(where, before, after)
	}
	c.alternatives(where, d, before, after)
	c.members(where, d, before, after)
	if items := at(before, "items"); items != nil && at(after, "items") != nil {
		c.schema(where+"/*", d, items, at(after, "items"))
	}
	if others := at(before, "additionalProperties"); others != nil && at(after, "additionalProperties") != nil {
		c.schema(where+"/*", d, others, at(after, "additionalProperties"))
	}
}

// kinds compares the types that there may be; nil is any.
func (c *comparison) kinds(where string, d direction, before, after []string) {
	had, has := before, after
	if d == out {
		had, has = after, before
	}
	lost := had == nil && has != nil
	for _, kind := range had {
		lost = lost || has != nil && !slices.Contains(has, kind)
	}
	if lost {
		c.breaks(where, "the type %s is now %s", inWords(before), inWords(after))
	}
}

func inWords(types []string) string {
	if types == nil {
		return "any"
	}
	return strings.Join(types, " or ")
}

// bounds compares what may be sent of a type.
func (c *comparison) bounds(where string, before, after object) {
	if values, ok := after["enum"].([]any); ok {
		old, _ := before["enum"].([]any)
		if before["enum"] == nil {
			c.breaks(where, "must be one of %v", values)
		}
		for _, v := range old {
			if !slices.Contains(values, v) {
				c.breaks(where, "%v is none of the values any longer", v)
			}
		}
	}
	for _, name := range []string{"minimum", "minLength", "minItems", "maximum", "maxLength", "maxItems"} {
		bound, bounded := after[name].(float64)
		was, had := before[name].(float64)
		narrower := bound > was
		if strings.HasPrefix(name, "max") {
			narrower = bound < was
		}
		if bounded && (!had || narrower) {
			c.breaks(where, "%s is now %v", name, bound)
		}
	}
}

// alternatives finds those of before that nothing of after is like.
func (c *comparison) alternatives(where string, d direction, before, after object) {
	old, _ := before["anyOf"].([]any)
	now, ok := after["anyOf"].([]any)
	if !ok {
		now = []any{after}
	}
	for i, one := range old {
		same := func(other any) bool {
			trial := comparison{before: c.before, after: c.after, compared: maps.Clone(c.compared)}
			trial.schema(where, d, one.(object), other.(object))
			return len(trial.found) == 0
		}
		if !slices.ContainsFunc(now, same) {
			c.breaks(where, "alternative %s is gone, or another one", nameOf(one.(object), i))
		}
	}
}

func nameOf(schema object, i int) string {
	if ref, ok := schema["$ref"].(string); ok {
		return ref[strings.LastIndex(ref, "/")+1:]
	}
	return strconv.Itoa(i + 1)
}

func (c *comparison) members(where string, d direction, before, after object) {
	for _, name := range sorted(at(before, "properties")) {
		c.schema(where+"/"+name, d, at(before, "properties", name), at(after, "properties", name))
	}
	old, now := required(before), required(after)
	if d == out {
		for _, name := range old {
			if at(after, "properties", name) != nil && !slices.Contains(now, name) {
				c.breaks(where+"/"+name, "may be missing")
			}
		}
		return
	}
	for _, name := range now {
		if !slices.Contains(old, name) {
			c.breaks(where+"/"+name, "must be sent")
		}
	}
	if after["additionalProperties"] == false && before["additionalProperties"] != false && at(before, "properties") != nil {
		c.breaks(where, "takes no other members any longer")
	}
}

func required(schema object) (names []string) {
	list, _ := schema["required"].([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	return names
}

// typesOf returns the types that a schema takes; nil is any.
func typesOf(document, schema object) (types []string) {
	switch t := schema["type"].(type) {
	case string:
		return []string{t}
	case []any:
		for _, kind := range t {
			types = append(types, fmt.Sprint(kind))
		}
		return types
	}
	alternatives, _ := schema["anyOf"].([]any)
	for _, one := range alternatives {
		kinds := typesOf(document, resolve(document, one.(object)))
		if kinds == nil {
			return nil
		}
		types = append(types, kinds...)
	}
	return types
}

// resolve returns what an object refers to, or itself.
func resolve(document, o object) object {
	if ref, ok := o["$ref"].(string); ok {
		return at(document, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return o
}

// parametersByName has those of an operation by their names, with where they are.
func parametersByName(document, operation object) object {
	all := make(object)
	list, _ := operation["parameters"].([]any)
	for _, p := range list {
		p := resolve(document, p.(object))
		all[fmt.Sprintf("%v in %v", p["name"], p["in"])] = p
	}
	return all
}

// at returns the object at a place; nil if there is none.
func at(o object, path ...string) object {
	for _, name := range path {
		o, _ = o[name].(object)
	}
	return o
}

func sorted(o object) []string { return slices.Sorted(maps.Keys(o)) }
