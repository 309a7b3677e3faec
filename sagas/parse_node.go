package sagas

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"

	"github.com/57528e99/recount/delivery"
)

// MistakeError is a mistake in the text of a definition.
type MistakeError struct {
	// Line and Column are where it is, from 1.
	Line, Column int
	// Path is the way to it: members, with a step by its name; empty: the whole.
	Path string
	// Reason says what is wrong, and what there is instead.
	Reason string
}

func (e *MistakeError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
	}
	return fmt.Sprintf("line %d, column %d, %s: %s", e.Line, e.Column, e.Path, e.Reason)
}

// place is a value of the text, and the way to it.
type place struct {
	*yaml.Node
	parser *parser
	path   string
}

func (p place) mistake(format string, args ...any) {
	p.parser.mistakes = append(p.parser.mistakes, &MistakeError{p.Line, p.Column, p.path, fmt.Sprintf(format, args...)})
}

func (p place) inside(step string, n *yaml.Node) place {
	return place{n, p.parser, strings.TrimPrefix(p.path+"/"+step, "/")}
}

// readText returns the value that a text is. Mistakes that are in the way of it are noted.
func (p *parser) readText(text []byte) (place, bool) {
	root := place{&yaml.Node{Line: 1, Column: 1}, p, ""}
	if len(text) > MaxBytes {
		root.mistake("it has %d bytes, at most %d are allowed", len(text), MaxBytes)
		return root, false
	}
	var document yaml.Node
	err := yaml.Load(text, &document, yaml.WithUniqueKeys(false)) // whose mistakes say no path
	var load *yaml.LoadError
	switch {
	case errors.As(err, &load):
		root.Line, root.Column = max(load.Mark.Line, 1), max(load.Mark.Column, 1)
		root.mistake("it is no YAML: %s", load.Message)
		return root, false
	case err != nil:
		root.mistake("it is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return root, false
	case document.Kind != yaml.DocumentNode || len(document.Content) != 1:
		root.mistake("it is empty")
		return root, false
	}
	root.Node = document.Content[0]
	return root, p.checkNode(root, 0)
}

// checkNode reports whether a value is one that JSON has too.
func (p *parser) checkNode(n place, depth int) bool {
	ok := true
	no := func(format string, args ...any) {
		n.mistake(format, args...)
		ok = false
	}
	switch {
	case depth > maxDepth:
		no("it is nested deeper than %d levels", maxDepth)
		return false
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		no("anchors and aliases (& and *) are not supported: write it twice")
		return false
	case n.Kind == yaml.MappingNode:
		seen := make(map[string]int)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
				place{key, p, n.path}.mistake("the name of a member must be a text, in quotes if need be")
				ok = false
				continue
			}
			if line, twice := seen[key.Value]; twice {
				n.inside(key.Value, key).mistake("the member is there twice, first in line %d", line)
				ok = false
			}
			seen[key.Value] = key.Line
			ok = p.checkNode(n.inside(key.Value, n.Content[i+1]), depth+1) && ok
		}
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			ok = p.checkNode(n.inside(strconv.Itoa(i), item), depth+1) && ok
		}
	case !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp"}, n.ShortTag()):
		no("values of type %s are not supported: there are texts, numbers, true, false and null", n.ShortTag())
	default:
		if _, err := scalar(n.Node); err != nil {
			no("%s", err)
		}
	}
	return ok
}

// scalar returns a text, number, bool or nil.
func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		if isJSONNumber(n.Value) {
			return number(n.Value), nil
		}
		plain := strings.ReplaceAll(n.Value, "_", "")
		if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
			return number(strconv.FormatInt(i, 10)), nil
		}
		f, err := strconv.ParseFloat(plain, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fmt.Errorf("%s is a number that JSON has not", n.Value)
		}
		return number(strconv.FormatFloat(f, 'g', -1, 64)), nil
	}
	return n.Value, nil
}

// describe says what a value is.
func (p place) describe() string {
	switch p.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	switch v, _ := scalar(p.Node); v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the text %q", v)
	case bool:
		return fmt.Sprint(v)
	default:
		return fmt.Sprintf("the number %v", v)
	}
}

// object are the members of a value.
type object struct {
	place
	members map[string]place
}

// object returns the members of an object.
func (p place) object(what string) (object, bool) {
	o := object{p, make(map[string]place)}
	if p.Kind != yaml.MappingNode {
		p.mistake("%s is an object, and this is %s", what, p.describe())
		return o, false
	}
	for i := 0; i+1 < len(p.Content); i += 2 {
		name := p.Content[i].Value
		o.members[name] = p.inside(name, p.Content[i+1])
	}
	return o, true
}

// only makes members of other names mistakes, and reports whether there are none.
func (o object) only(what string, names ...string) bool {
	known := true
	for i := 0; i+1 < len(o.Content); i += 2 {
		if key := o.Content[i]; !slices.Contains(names, key.Value) {
			place{key, o.parser, o.path}.mistake("%s has no member %q: there are %s", what, key.Value, strings.Join(names, ", "))
			known = false
		}
	}
	return known
}

// member returns a member that must be there.
func (o object) member(name, why string) (place, bool) {
	m, ok := o.members[name]
	if !ok {
		o.mistake("the member %q is missing: %s", name, why)
	}
	return m, ok
}

// text returns a text that is not empty.
func (p place) text(what string) (string, bool) {
	v, _ := scalar(p.Node)
	text, ok := v.(string)
	if p.Kind != yaml.ScalarNode || !ok || text == "" {
		p.mistake("it must be %s, and is %s", what, p.describe())
		return "", false
	}
	return text, true
}

// integer returns a number from a least one on.
func (p place) integer(least int) int {
	v, _ := scalar(p.Node)
	n, _ := v.(number)
	i, err := strconv.ParseInt(string(n), 10, 32)
	if p.Kind != yaml.ScalarNode || err != nil || int(i) < least {
		p.mistake("it must be a whole number from %d on, and is %s", least, p.describe())
		return least
	}
	return int(i)
}

func (p place) duration() time.Duration {
	text, ok := p.text(`a duration such as "10s", "90m" or "336h"`)
	if !ok {
		return time.Second
	}
	var d delivery.Duration
	if err := d.UnmarshalText([]byte(text)); err != nil {
		p.mistake("%q %s", text, err)
		return time.Second
	}
	if d <= 0 {
		p.mistake("%q must be positive", text)
		return time.Second
	}
	return time.Duration(d)
}

// list returns the items of a list that is not empty.
func (p place) list(what string) (all []place) {
	if p.Kind != yaml.SequenceNode || len(p.Content) == 0 {
		found := p.describe()
		if p.Kind == yaml.SequenceNode {
			found = "empty"
		}
		p.mistake("it must be a list of %s, and is %s", what, found)
		return nil
	}
	for i, n := range p.Content {
		all = append(all, p.inside(strconv.Itoa(i), n))
	}
	return all
}

// at returns what is at a JSON pointer, or as near to it as there is something.
func (p place) at(to string) place {
	for token := range jsontext.Pointer(to).Tokens() {
		found := -1
		switch p.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(p.Content); i += 2 {
				if p.Content[i].Value == token {
					found = i + 1
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(token); err == nil && i < len(p.Content) {
				found = i
			}
		}
		if found < 0 {
			return p
		}
		p = p.inside(token, p.Content[found])
	}
	return p
}
