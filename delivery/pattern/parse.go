package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Compile returns the pattern that a JSON text is. Its errors are of type *Error.
func Compile(text []byte) (*Pattern, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	if root.kind != '{' {
		return nil, errorAt("", `a pattern is an object of fields, as in {"type":["OrderPlaced"]}, not %s`, root.describe())
	}
	terms, err := compileObject(root, nil)
	if err != nil {
		return nil, err
	}
	if n := countWays(terms); n > MaxAlternatives {
		return nil, errorAt("", "there are more than %d ways to match, as the alternatives of several $or multiply: use fewer, or several subscriptions", MaxAlternatives)
	}
	p := &Pattern{ways: expand(terms)}
	complexity := 0
	for _, way := range p.ways {
		for _, c := range way {
			complexity += c.when.cost
		}
	}
	if complexity > MaxComplexity {
		return nil, errorAt("", "the complexity is %d, at most %d is allowed: a literal counts %d, a star of a wildcard %d, another operator %d, for each way to match: use fewer wildcards or alternatives",
			complexity, MaxComplexity, literalCost, starCost, operatorCost)
	}
	return p, nil
}

// value is a JSON value of a pattern.
type value struct {
	kind  byte     // one of {["0tfn
	text  string   // a string, decoded; a number as it is written
	keys  []string // those of an object, of which items has the values
	items []value
	at    string // JSON pointer
	raw   string // the text of an array
}

// describe names what a value is, in an error.
func (v value) describe() string {
	return map[byte]string{'{': "an object", '[': "an array", '"': "a string", '0': "a number", 't': "true", 'f': "false", 'n': "null"}[v.kind]
}

func (v value) errorf(format string, args ...any) error { return errorAt(v.at, format, args...) }

// parse reads a text, and refuses keys that are there twice.
func parse(text []byte) (value, error) {
	if len(text) > MaxBytes {
		return value{}, errorAt("", "it is %d bytes long, at most %d are allowed: use prefixes, or several subscriptions", len(text), MaxBytes)
	}
	if !utf8.Valid(text) {
		return value{}, errorAt("", "it is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return value{}, errorAt("", "it is not JSON: %s, at byte %d", syntax, syntax.Offset)
		}
		return value{}, errorAt("", "it is not JSON: %s", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return parseValue(d, text, "", 0)
}

func parseValue(d *json.Decoder, text []byte, at string, depth int) (value, error) {
	v := value{at: at}
	token, err := d.Token()
	if err != nil {
		return v, errorAt(at, "it is not JSON: %s", err)
	}
	switch t := token.(type) {
	case string:
		v.kind, v.text = '"', t
		return v, nil
	case json.Number:
		v.kind, v.text = '0', t.String()
		return v, nil
	case bool:
		v.kind = strconv.FormatBool(t)[0]
		return v, nil
	case nil:
		v.kind = 'n'
		return v, nil
	case json.Delim:
		v.kind = byte(t)
	}
	if depth == MaxDepth {
		return v, v.errorf("it is nested deeper than %d levels", MaxDepth)
	}
	begin := d.InputOffset() - 1
	for d.More() {
		step := strconv.Itoa(len(v.items))
		if v.kind == '{' {
			key, err := d.Token()
			if err != nil {
				return v, errorAt(at, "it is not JSON: %s", err)
			}
			step = key.(string)
			if slices.Contains(v.keys, step) {
				return v, errorAt(at+pointerStep(step), "the key is there twice: write all alternatives into one array")
			}
			v.keys = append(v.keys, step)
		}
		item, err := parseValue(d, text, at+pointerStep(step), depth+1)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
	_, err = d.Token()
	var compact bytes.Buffer
	if err := errors.Join(err, json.Compact(&compact, text[begin:d.InputOffset()])); err != nil {
		return v, errorAt(at, "it is not JSON: %s", err)
	}
	v.raw = compact.String()
	return v, nil
}

func pointerStep(key string) string { return "/" + pointerEscapes.Replace(key) }

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// term is a clause, or an $or: of one of its alternatives all terms must hold.
type term struct {
	clause *clause
	or     [][]term
}

// countWays returns how many ways to match there are, at most one more than is allowed.
func countWays(terms []term) int {
	product := 1
	for _, t := range terms {
		if t.clause != nil {
			continue
		}
		sum := 0
		for _, alternative := range t.or {
			sum = min(sum+countWays(alternative), MaxAlternatives+1)
		}
		product = min(product*sum, MaxAlternatives+1)
	}
	return product
}

func expand(terms []term) [][]*clause {
	ways := [][]*clause{nil}
	for _, t := range terms {
		heads := [][]*clause{{t.clause}}
		if t.clause == nil {
			heads = nil
			for _, alternative := range t.or {
				heads = append(heads, expand(alternative)...)
			}
		}
		var longer [][]*clause
		for _, way := range ways {
			for _, head := range heads {
				longer = append(longer, slices.Concat(way, head))
			}
		}
		ways = longer
	}
	return ways
}

func compileObject(v value, path []string) (terms []term, err error) {
	if len(v.keys) == 0 {
		if v.at == "" {
			return nil, v.errorf("it has no fields: leave the filter out to match every event")
		}
		return nil, v.errorf(`it has no fields: name one, or write [{"exists":true}] for one that must be there`)
	}
	for i, key := range v.keys {
		item := v.items[i]
		var more []term
		if key == "$or" && isOr(item) {
			more, err = compileOr(item, path)
		} else {
			more, err = compileField(item, append(slices.Clone(path), key))
		}
		if err != nil {
			return nil, err
		}
		terms = append(terms, more...)
	}
	return terms, nil
}

func compileField(v value, path []string) ([]term, error) {
	name := path[len(path)-1]
	if len(path) == 1 {
		if name == "$or" {
			return nil, v.errorf("$or takes an array of two or more objects, each with the fields of an alternative")
		}
		field := slices.Index(envelope[:], name)
		if field < 0 {
			return nil, v.errorf(`an event has no field %q: its fields are %s; what your application wrote is inside data, as in {"data":{%q:…}}`,
				name, strings.Join(envelope[:], ", "), name)
		}
		if v.kind == '{' && field < fieldMetadata {
			return nil, v.errorf(`%s has no fields: write an array of alternatives, as in ["x"]`, name)
		}
	}
	switch v.kind {
	case '{':
		return compileObject(v, path)
	case '[':
		t, err := compileAlternatives(v)
		if err != nil {
			return nil, err
		}
		return []term{{clause: &clause{path: path, at: v.at, wanted: v.raw, when: t}}}, nil
	case '"':
		return nil, v.errorf("it must be an array of alternatives: write [%s]", quote(v.text))
	case '0':
		return nil, v.errorf("it must be an array of alternatives: write [%s]", v.text)
	}
	return nil, v.errorf("it must be an array of alternatives: write [%s]", v.describe())
}

// reserved are the names of fields that make an $or an ordinary field: they are those of operators,
// also of such that are not here.
var reserved = append([]string{"exactly", "regex", "date-after", "date-before", "in-date-range", "ip-address-in-range"}, operators...)

var operators = []string{"prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr", "exists"}

// isOr tells alternatives from the array of a field that is called $or.
func isOr(v value) bool {
	objects := false
	for _, item := range v.items {
		if item.kind == '{' {
			objects = true
			if slices.ContainsFunc(item.keys, func(key string) bool { return slices.Contains(reserved, key) }) {
				return false
			}
		}
	}
	return v.kind == '[' && objects
}

func compileOr(v value, path []string) ([]term, error) {
	if len(v.items) < 2 {
		return nil, v.errorf("$or needs two alternatives or more: write the fields of the only one beside the others")
	}
	var t term
	for _, item := range v.items {
		if item.kind != '{' {
			return nil, item.errorf("an alternative of $or is an object of fields, not %s", item.describe())
		}
		terms, err := compileObject(item, path)
		if err != nil {
			return nil, err
		}
		t.or = append(t.or, terms)
	}
	return []term{t}, nil
}

func (v value) number() (float64, error) {
	n := parseFloat(v.text)
	if math.IsInf(n, 0) {
		return 0, v.errorf("%s is beyond the range of a double: write one below 1.8e308", v.text)
	}
	return n, nil
}
