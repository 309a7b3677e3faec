package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
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

// compileAlternatives makes a condition of the array of a field.
func compileAlternatives(v value) (*condition, error) {
	if len(v.items) == 0 {
		return nil, v.errorf(`it has no alternatives: write a value, or [{"exists":false}] for a field that must not be there`)
	}
	t := &condition{}
	for _, item := range v.items {
		var err error
		switch item.kind {
		case '{':
			err = t.addExpression(item)
		case '[':
			err = item.errorf("an alternative is a value or an expression, not an array: write its elements into the array around it")
		default:
			err = t.addLiteral(item)
		}
		if err != nil {
			return nil, err
		}
	}
	t.prepare()
	return t, nil
}

func (t *condition) addLiteral(v value) error {
	t.cost += literalCost
	switch v.kind {
	case '"':
		t.strings = append(t.strings, v.text)
	case '0':
		n, err := v.number()
		if err != nil {
			return err
		}
		t.numbers = append(t.numbers, n)
	default:
		t.words = append(t.words, v.kind)
	}
	return nil
}

func (v value) number() (float64, error) {
	n := parseFloat(v.text)
	if math.IsInf(n, 0) {
		return 0, v.errorf("%s is beyond the range of a double: write one below 1.8e308", v.text)
	}
	return n, nil
}

func (t *condition) addExpression(v value) error {
	switch len(v.keys) {
	case 0:
		return v.errorf(`the expression is empty: write an operator, as in {"prefix":"a"}`)
	case 1:
	default:
		return v.errorf("an expression has one operator, this has %s: write an object for each, of which one must match", strings.Join(v.keys, ", "))
	}
	name, arg := v.keys[0], v.items[0]
	switch name {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		return t.addText(name, arg)
	case "anything-but":
		return t.addAnythingBut(arg)
	case "numeric":
		return t.addNumeric(arg)
	case "cidr":
		return t.addBlock(arg)
	case "exists":
		t.cost += operatorCost
		switch arg.kind {
		case 't':
			t.present = true
		case 'f':
			t.absent = true
		default:
			return arg.errorf("exists takes true or false, not %s", arg.describe())
		}
		return nil
	case "exactly":
		return v.errorf("exactly is not needed: write the value itself")
	case "regex":
		return v.errorf("regex is not supported: use wildcard, prefix or suffix")
	case "ip-address-in-range":
		return v.errorf("ip-address-in-range is not supported: use cidr")
	}
	return v.errorf("there is no operator %q: use one of %s", name, strings.Join(operators, ", "))
}

// addText adds an operator on strings.
func (t *condition) addText(name string, v value) error {
	ignoreCase := false
	if v.kind == '{' && (name == "prefix" || name == "suffix") {
		if len(v.keys) != 1 || v.keys[0] != "equals-ignore-case" {
			return v.errorf(`%s takes a string or {"equals-ignore-case":"a"}`, name)
		}
		v, ignoreCase = v.items[0], true
	}
	if v.kind != '"' {
		return v.errorf("%s takes a string, not %s", name, v.describe())
	}
	t.cost += operatorCost
	switch {
	case name == "equals-ignore-case":
		t.folded = append(t.folded, foldString(v.text))
	case name == "wildcard":
		return t.addWildcard(v)
	case ignoreCase && name == "prefix":
		t.ops = append(t.ops, op{kind: opFoldedPrefix, text: foldString(v.text)})
	case ignoreCase:
		t.ops = append(t.ops, op{kind: opFoldedSuffix, text: foldString(v.text)})
	case name == "prefix":
		t.ops = append(t.ops, op{kind: opPrefix, text: v.text})
	default:
		t.ops = append(t.ops, op{kind: opSuffix, text: v.text})
	}
	return nil
}

// addWildcard adds what is between the stars.
func (t *condition) addWildcard(v value) error {
	var part strings.Builder
	var parts []string
	star := false
	for i := 0; i < len(v.text); i++ {
		c := v.text[i]
		switch {
		case c == '*' && star:
			return v.errorf(`two stars in a row mean no more than one: write *, or \* for a star itself (in JSON \\*)`)
		case c == '*':
			parts = append(parts, part.String())
			part.Reset()
		case c == '\\':
			if i++; i == len(v.text) || v.text[i] != '*' && v.text[i] != '\\' {
				return v.errorf(`only \* and \\ may follow on a backslash: write \\ for a backslash itself (in JSON \\\\)`)
			}
			part.WriteByte(v.text[i])
		default:
			part.WriteByte(c)
		}
		star = c == '*'
	}
	if parts == nil {
		t.strings = append(t.strings, part.String())
		return nil
	}
	t.cost += len(parts)*starCost - operatorCost
	t.ops = append(t.ops, op{kind: opWildcard, parts: append(parts, part.String())})
	return nil
}

func (t *condition) addAnythingBut(v value) error {
	not := &condition{}
	switch v.kind {
	case '"', '0':
		if err := not.addLiteral(v); err != nil {
			return err
		}
	case '[':
		if len(v.items) == 0 {
			return v.errorf(`the list is empty: write {"exists":true} for any value`)
		}
		for _, item := range v.items {
			if item.kind != '"' && item.kind != '0' {
				return item.errorf("a list of anything-but has strings or numbers, not %s", item.describe())
			}
			if item.kind != v.items[0].kind {
				return item.errorf("a list of anything-but has strings only or numbers only: keep those of the type that the field has")
			}
			if err := not.addLiteral(item); err != nil {
				return err
			}
		}
	case '{':
		if len(v.keys) != 1 || !slices.Contains(operators[:4], v.keys[0]) {
			return v.errorf("anything-but takes one of %s inside it", strings.Join(operators[:4], ", "))
		}
		arg := v.items[0]
		texts := []value{arg}
		if arg.kind == '[' {
			if texts = arg.items; len(texts) == 0 {
				return arg.errorf("the list is empty: write a string, or several")
			}
		}
		for _, text := range texts {
			if err := not.addText(v.keys[0], text); err != nil {
				return err
			}
		}
	default:
		return v.errorf("anything-but takes a string, a number, a list or an expression, not %s", v.describe())
	}
	not.prepare()
	t.cost += operatorCost + not.cost
	t.ops = append(t.ops, op{kind: opNot, not: not})
	return nil
}

func (t *condition) addNumeric(v value) error {
	const usage = `write ["=",5], [">",0] or [">=",0,"<",100]`
	if v.kind != '[' {
		return v.errorf("numeric takes an array of comparisons, not %s: %s", v.describe(), usage)
	}
	if n := len(v.items); n != 2 && n != 4 {
		return v.errorf("numeric takes one comparison or two, that is 2 or 4 elements, not %d: %s", n, usage)
	}
	low, high := math.Inf(-1), math.Inf(1)
	for i := 0; i < len(v.items); i += 2 {
		sign, operand := v.items[i], v.items[i+1]
		if sign.kind != '"' || !slices.Contains([]string{"=", "<", "<=", ">", ">="}, sign.text) {
			return sign.errorf("a comparison is one of =, <, <=, > and >=: %s", usage)
		}
		if operand.kind != '0' {
			return operand.errorf("%s is followed by a number, not %s: %s", sign.text, operand.describe(), usage)
		}
		n, err := operand.number()
		if err != nil {
			return err
		}
		if len(v.items) == 4 && (i == 0) != strings.HasPrefix(sign.text, ">") {
			return sign.errorf("of two comparisons the first is > or >=, the second < or <=: %s", usage)
		}
		// Bounds that do not count are the next double beyond them.
		switch sign.text {
		case "=":
			low, high = n, n
		case "<":
			high = math.Nextafter(n, math.Inf(-1))
		case "<=":
			high = n
		case ">":
			low = math.Nextafter(n, math.Inf(1))
		case ">=":
			low = n
		}
	}
	if low > high {
		return v.errorf("no number is in the range: the first number is the lower one")
	}
	t.cost += operatorCost
	t.ops = append(t.ops, op{kind: opRange, low: low, high: high})
	return nil
}

func (t *condition) addBlock(v value) error {
	if v.kind != '"' {
		return v.errorf("cidr takes a string, not %s", v.describe())
	}
	if !strings.Contains(v.text, "/") {
		return v.errorf("%q has no length: write 10.0.0.0/8 or 2001:db8::/32; of one address /32 or /128", v.text)
	}
	block, err := netip.ParsePrefix(v.text)
	if err != nil {
		return v.errorf("%q is no block of addresses: write 10.0.0.0/8 or 2001:db8::/32", v.text)
	}
	if block.Addr().Is4In6() {
		return v.errorf("%q is a block of IPv4 addresses written as IPv6: write the IPv4 block, which matches both forms", v.text)
	}
	t.cost += operatorCost
	t.ops = append(t.ops, op{kind: opBlock, block: block.Masked()})
	return nil
}

// quote returns a string as JSON, for an error.
func quote(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		return fmt.Sprintf("%q", text)
	}
	return string(encoded)
}
