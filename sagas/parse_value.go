package sagas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"
)

// fields are members of an object of which it does not matter what they are: what steps of a parsed definition work on.
type fields = map[string]json.RawMessage

// number is a number as it is written.
type number = json.Number

func isJSONNumber(text string) bool {
	return json.Valid([]byte(text)) && strings.IndexByte("-0123456789", text[0]) >= 0
}

// value is what a value of a definition is made of: a literal, or what is found in data.
type value struct {
	// literal is the JSON; of all others it is nil.
	literal json.RawMessage
	// from is where in the data it is; nil: it is made of parts.
	from *pointer
	// join says that the parts are one text; else they are an object, if they have names, or a list.
	join  bool
	names []string
	parts []value
}

// pointer is a JSON pointer.
type pointer []string

func (p pointer) String() string {
	var to jsontext.Pointer
	for _, token := range p {
		to = to.AppendToken(token)
	}
	return string(to)
}

func parsePointer(at place) (pointer, bool) {
	v, _ := scalar(at.Node)
	text, isText := v.(string)
	if at.Kind != yaml.ScalarNode || !isText || !jsontext.Pointer(text).IsValid() {
		at.mistake(`it must be a JSON pointer such as "/order/id", and is %s`, at.describe())
		return nil, false
	}
	return slices.Collect(jsontext.Pointer(text).Tokens()), true
}

// in returns what is at a pointer; nil: there is nothing.
func (p pointer) in(data fields) (json.RawMessage, error) {
	if len(p) == 0 {
		return json.Marshal(data)
	}
	found := data[p[0]]
	for _, token := range p[1:] {
		found = bytes.TrimSpace(found)
		switch {
		case len(found) == 0:
			return nil, nil
		case found[0] == '{':
			var object fields
			if err := json.Unmarshal(found, &object); err != nil {
				return nil, err
			}
			found = object[token]
		case found[0] == '[':
			var list []json.RawMessage
			if err := json.Unmarshal(found, &list); err != nil {
				return nil, err
			}
			i, err := strconv.ParseUint(token, 10, 31)
			if err != nil || i >= uint64(len(list)) {
				return nil, nil
			}
			found = list[i]
		default:
			return nil, nil
		}
	}
	return found, nil
}

// value reads a value. Every pointer in it is handed to check.
func (p place) value(check func(place, pointer)) value {
	switch p.Kind {
	case yaml.SequenceNode:
		return p.parts(value{}, p.Content, nil, check)
	case yaml.MappingNode:
		if len(p.Content) == 2 {
			name, inner := p.Content[0].Value, p.inside(p.Content[0].Value, p.Content[1])
			switch {
			case name == "from" && inner.Kind == yaml.ScalarNode:
				at, ok := parsePointer(inner)
				if ok {
					check(inner, at)
				}
				return value{from: &at}
			case name == "join" && inner.Kind == yaml.SequenceNode:
				return inner.parts(value{join: true}, inner.Content, nil, check)
			}
		}
		var names []string
		var nodes []*yaml.Node
		for i := 0; i+1 < len(p.Content); i += 2 {
			names, nodes = append(names, p.Content[i].Value), append(nodes, p.Content[i+1])
		}
		return p.parts(value{names: append([]string{}, names...)}, nodes, names, check)
	}
	v, _ := scalar(p.Node)
	text, err := json.Marshal(v)
	if err != nil {
		p.mistake("%s", err)
	}
	return value{literal: text}
}

func (p place) parts(v value, nodes []*yaml.Node, names []string, check func(place, pointer)) value {
	isLiteral := true
	for i, n := range nodes {
		name := strconv.Itoa(i)
		if names != nil {
			name = names[i]
		}
		part := p.inside(name, n).value(check)
		isLiteral = isLiteral && part.literal != nil
		v.parts = append(v.parts, part)
	}
	if isLiteral {
		literal, err := v.in(nil)
		if err != nil {
			p.mistake("%s", err)
		}
		v.literal = literal
	}
	return v
}

// in returns the JSON of the value. What is not there is null.
func (v *value) in(data fields) (json.RawMessage, error) {
	switch {
	case v.literal != nil:
		return v.literal, nil
	case v.from != nil:
		found, err := v.from.in(data)
		if found == nil {
			found = json.RawMessage("null")
		}
		return found, err
	case v.join:
		var all strings.Builder
		for i := range v.parts {
			text, err := v.parts[i].text(data)
			if err != nil {
				return nil, err
			}
			all.WriteString(text)
		}
		return json.Marshal(all.String())
	}
	var to bytes.Buffer
	begin, end := byte('['), byte(']')
	if v.names != nil {
		begin, end = '{', '}'
	}
	to.WriteByte(begin)
	for i := range v.parts {
		if i > 0 {
			to.WriteByte(',')
		}
		if v.names != nil {
			name, err := json.Marshal(v.names[i])
			if err != nil {
				return nil, err
			}
			to.Write(name)
			to.WriteByte(':')
		}
		part, err := v.parts[i].in(data)
		if err != nil {
			return nil, err
		}
		to.Write(part)
	}
	to.WriteByte(end)
	return to.Bytes(), nil
}

// text returns a value that must be a text or a number, and not empty.
func (v *value) text(data fields) (string, error) {
	found, err := v.in(data)
	if err != nil {
		return "", err
	}
	var text string
	if json.Unmarshal(found, &text) == nil && text != "" {
		return text, nil
	}
	if isJSONNumber(string(found)) {
		return string(found), nil
	}
	where := "the value"
	if v.from != nil {
		where = "what is at " + v.from.String()
	}
	return "", fmt.Errorf("%s must be a text or a number, and is %s", where, shortened(found))
}

func shortened(text json.RawMessage) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(string(text[:60]), "") + "…"
	}
	return string(text)
}

// mapping are members and what they are made of.
type mapping map[string]*value

// mapping reads members of the data with their values, and notes that there are such members.
func (p place) mapping(check func(place, pointer)) mapping {
	o, ok := p.object("what is taken")
	if !ok {
		return nil
	}
	all := make(mapping)
	for name, at := range o.members {
		v := at.value(check)
		all[name] = &v
		p.parser.known[name] = true
	}
	return all
}

func (m mapping) in(data fields) (fields, error) {
	if len(m) == 0 {
		return nil, nil
	}
	to := make(fields, len(m))
	for name, v := range m {
		var err error
		if to[name], err = v.in(data); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// changes returns the members that differ from those of the data.
func (m mapping) changes(data, from fields) (fields, error) {
	to, err := m.in(from)
	maps.DeleteFunc(to, func(name string, v json.RawMessage) bool {
		before, there := data[name]
		return bytes.Equal(before, v) || !there && string(v) == "null"
	})
	if len(to) == 0 {
		return nil, err
	}
	return to, err
}

// asFields returns the members of an object in JSON.
func asFields(text json.RawMessage) (fields, error) {
	var f fields
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, errors.New("it is no object: " + shortened(text))
	}
	return f, nil
}

// item is an item that steps are about: a member of the data that only they see.
type item struct {
	as    string
	of    *value
	index int
}

// items are those around a step, the outermost first.
type itemsAround []item

// over returns data with the items.
func (all itemsAround) over(data fields) (fields, error) {
	if len(all) == 0 {
		return data, nil
	}
	data = maps.Clone(data)
	if data == nil {
		data = make(fields)
	}
	for _, one := range all {
		list, err := one.list(data)
		if err != nil {
			return nil, err
		}
		if data[one.as] = json.RawMessage("null"); one.index < len(list) {
			data[one.as] = list[one.index]
		}
	}
	return data, nil
}

func (one *item) list(data fields) (list []json.RawMessage, err error) {
	found, err := one.of.in(data)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(found, &list); err != nil {
		return nil, fmt.Errorf("what is at %s must be a list, and is %s", one.of.from, shortened(found))
	}
	return list, nil
}
