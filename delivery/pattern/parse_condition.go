package pattern

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
)

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
