package pattern_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This is the meaning of patterns, without a thought for speed: all ways to choose a value, or its
// absence, for each field are tried. It shares nothing with the package.

// fact is a value of an event that is no object and no array.
type fact struct {
	value any
	// in has the index in each array that it is in: arrays are numbered.
	in map[int]int
}

// together reports whether no array has the facts in different elements.
func together(a, b fact) bool {
	for array, i := range a.in {
		if j, ok := b.in[array]; ok && i != j {
			return false
		}
	}
	return true
}

// facts are by path, its keys joined by NUL.
type facts struct {
	at     map[string][]fact
	arrays int
}

func (f *facts) collect(v any, path []string, in map[int]int) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			f.collect(member, append(slices.Clone(path), key), in)
		}
	case []any:
		f.arrays++
		array := f.arrays
		for i, item := range v {
			own := maps.Clone(in)
			own[array] = i
			f.collect(item, path, own)
		}
	default:
		where := strings.Join(path, "\x00")
		f.at[where] = append(f.at[where], fact{v, in})
	}
}

// demand is what a pattern says of one field.
type demand struct {
	path         []string
	alternatives []any
}

// demands returns the alternatives of an object of a pattern, of which one must be met: with all its
// demands.
func demands(object map[string]any, path []string) [][]demand {
	all := [][]demand{nil}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		var some [][]demand
		at := append(slices.Clone(path), key)
		switch v := object[key].(type) {
		case map[string]any:
			some = demands(v, at)
		case []any:
			if key == "$or" && !slices.ContainsFunc(v, isNoAlternative) {
				for _, item := range v {
					some = append(some, demands(item.(map[string]any), path)...)
				}
			} else {
				some = [][]demand{{{at, v}}}
			}
		}
		var product [][]demand
		for _, a := range all {
			for _, b := range some {
				product = append(product, slices.Concat(a, b))
			}
		}
		all = product
	}
	return all
}

func isNoAlternative(v any) bool {
	object, ok := v.(map[string]any)
	for key := range object {
		switch key {
		case "exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr", "exists",
			"regex", "date-after", "date-before", "in-date-range", "ip-address-in-range":
			return true
		}
	}
	return !ok
}

// oracle is an event.
type oracle struct {
	facts facts
	// unreadable are data and metadata that are no JSON.
	unreadable []string
}

// newOracle takes the envelope without metadata and data.
func newOracle(envelope map[string]any, metadata, data []byte) oracle {
	o := oracle{facts: facts{at: make(map[string][]fact)}}
	envelope = maps.Clone(envelope)
	for name, text := range map[string][]byte{"metadata": metadata, "data": data} {
		if len(text) == 0 {
			continue
		}
		if !utf8.Valid(text) || !json.Valid(text) || depth(text) > 128 {
			o.unreadable = append(o.unreadable, name)
			continue
		}
		envelope[name] = decode(text)
	}
	o.facts.collect(envelope, nil, map[int]int{})
	return o
}

func decode(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

func depth(text []byte) (most int) {
	now, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
		case c == '}' || c == ']':
			now--
		}
		most = max(most, now)
	}
	return most
}

func (o oracle) matches(pattern []byte) bool {
	for _, all := range demands(decode(pattern).(map[string]any), nil) {
		if !slices.ContainsFunc(all, func(d demand) bool { return slices.Contains(o.unreadable, d.path[0]) }) && o.choose(all, nil, nil) {
			return true
		}
	}
	return false
}

// choices is how many there may be at most for a pattern.
func (o oracle) choices(pattern []byte) float64 {
	sum := 0.0
	for _, all := range demands(decode(pattern).(map[string]any), nil) {
		product := 1.0
		for _, d := range all {
			product *= float64(1 + len(o.facts.at[strings.Join(d.path, "\x00")]))
		}
		sum += product
	}
	return sum
}

// choose chooses for the rest of the demands, so that it goes with what is chosen already. Those in
// absent are met by absence.
func (o oracle) choose(rest, absent []demand, chosen []fact) bool {
	goes := func(f fact) bool {
		return !slices.ContainsFunc(chosen, func(other fact) bool { return !together(f, other) })
	}
	if len(rest) == 0 {
		return !slices.ContainsFunc(absent, func(d demand) bool {
			return slices.ContainsFunc(o.facts.at[strings.Join(d.path, "\x00")], goes)
		})
	}
	d := rest[0]
	for _, f := range o.facts.at[strings.Join(d.path, "\x00")] {
		if goes(f) && slices.ContainsFunc(d.alternatives, func(a any) bool { return meets(f.value, a) }) && o.choose(rest[1:], absent, append(slices.Clone(chosen), f)) {
			return true
		}
	}
	canBeAbsent := slices.ContainsFunc(d.alternatives, func(a any) bool {
		expression, ok := a.(map[string]any)
		return ok && expression["exists"] == false
	})
	return canBeAbsent && o.choose(rest[1:], append(slices.Clone(absent), d), chosen)
}

// meets reports whether a value meets an alternative.
func meets(value, alternative any) bool {
	text, isText := value.(string)
	switch a := alternative.(type) {
	case json.Number:
		n, isNumber := value.(json.Number)
		return isNumber && float(n) == float(a)
	case map[string]any:
		for operator, arg := range a {
			switch operator {
			case "exists":
				return arg == true
			case "prefix", "suffix":
				has := strings.HasPrefix
				if operator == "suffix" {
					has = strings.HasSuffix
				}
				if ignoring, ok := arg.(map[string]any); ok {
					return isText && partEqualsIgnoringCase(text, ignoring["equals-ignore-case"].(string), has)
				}
				return isText && has(text, arg.(string))
			case "equals-ignore-case":
				return isText && strings.EqualFold(text, arg.(string))
			case "wildcard":
				return isText && wildcard(arg.(string)).MatchString(text)
			case "anything-but":
				return !isOneOf(value, arg)
			case "numeric":
				return inRange(value, arg.([]any))
			case "cidr":
				addr, err := netip.ParseAddr(text)
				return isText && err == nil && addr.Zone() == "" && netip.MustParsePrefix(arg.(string)).Contains(addr.Unmap())
			}
		}
		panic("unknown operator")
	}
	return value == alternative
}

// partEqualsIgnoringCase tries every part of text at its begin or end.
func partEqualsIgnoringCase(text, part string, has func(string, string) bool) bool {
	for i := range len(text) + 1 {
		for _, some := range []string{text[:i], text[i:]} {
			if has(text, some) && strings.EqualFold(some, part) {
				return true
			}
		}
	}
	return false
}

func isOneOf(value, arg any) bool {
	switch arg := arg.(type) {
	case []any:
		return slices.ContainsFunc(arg, func(a any) bool { return meets(value, a) })
	case map[string]any:
		for operator, texts := range arg {
			list, ok := texts.([]any)
			if !ok {
				list = []any{texts}
			}
			return slices.ContainsFunc(list, func(text any) bool { return meets(value, map[string]any{operator: text}) })
		}
	}
	return meets(value, arg)
}

func wildcard(text string) *regexp.Regexp {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*':
			b.WriteString(".*")
		case '\\':
			i++
			fallthrough
		default:
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		}
	}
	return regexp.MustCompile(`(?s)\A` + b.String() + `\z`)
}

func inRange(value any, comparisons []any) bool {
	n, ok := value.(json.Number)
	if !ok {
		return false
	}
	for i := 0; i < len(comparisons); i += 2 {
		a, b := float(n), float(comparisons[i+1].(json.Number))
		met := map[any]bool{"=": a == b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
		if !met[comparisons[i]] {
			return false
		}
	}
	return true
}

func float(n json.Number) float64 {
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil && !math.IsInf(f, 0) {
		panic(err)
	}
	return f
}
