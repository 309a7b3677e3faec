package pattern

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Explanation says whether an event matches a pattern, and if not, why.
type Explanation struct {
	Matched bool `json:"matched"`
	// Clause is the first one that is not met; nil if the event matches.
	Clause *Clause `json:"clause,omitempty"`
}

// Clause is a part of a pattern that an event does not match.
type Clause struct {
	// Pointer is the JSON pointer of the field in the pattern.
	Pointer string `json:"pointer"`
	// Wanted are the alternatives there.
	Wanted json.RawMessage `json:"wanted"`
	// Found says in words and JSON what the event has there.
	Found string `json:"found"`
}

// Explain says whether an event matches. Of several ways to match, as an $or makes them, the clause
// is that of the one in which most clauses before it are met. It takes its time: to find what matches
// there is Matcher.
func (p *Pattern) Explain(e *Event) Explanation {
	g := &growth{}
	ways, all := make([]way, len(p.ways)), make([][]*clause, len(p.ways))
	for i, clauses := range p.ways {
		// What may be absent comes last: whether it is depends on the element that the others match in.
		all[i] = slices.Clone(clauses)
		slices.SortStableFunc(all[i], func(a, b *clause) int { return cmp.Compare(order(a), order(b)) })
		ways[i] = newWay(0, all[i], g, nil)
	}
	var members [fields]*node
	for i, name := range envelope {
		members[i] = g.root.child(name)
	}
	s := new(scratch)
	s.scan(e, &g.trie, &members)
	var failed *clause
	var found string
	most := -1
	for i, clauses := range all {
		w := ways[i]
		if s.holds(&w, len(w.wants)) {
			return Explanation{Matched: true}
		}
		met := 0
		for s.meets(clauses[:met+1], w.wants[:met+1]) {
			met++
		}
		if met > most {
			most, failed = met, clauses[met]
			found = s.describe(e, failed, w.wants[:met+1])
		}
	}
	return Explanation{Clause: &Clause{failed.at, json.RawMessage(failed.wanted), found}}
}

func order(c *clause) int {
	if c.when.absent {
		return 1
	}
	return 0
}

// meets reports whether the event has what some clauses want.
func (s *scratch) meets(clauses []*clause, wants []want) bool {
	part := way{wants: wants}
	for _, c := range clauses {
		part.roots |= rootBit(c.path)
	}
	return s.holds(&part, len(wants))
}

// maxDescribed is how many values are told, and how many bytes of each.
const maxDescribed = 10

// describe says what the event has of the last of these wants, whose clause is not met after the
// others.
func (s *scratch) describe(e *Event, c *clause, wants []want) string {
	bit := rootBit(c.path)
	if s.unreadable&bit != 0 {
		return c.path[0] + " that is no JSON in UTF-8 of at most " + strconv.Itoa(maxEventDepth) + " levels"
	}
	last := wants[len(wants)-1]
	var values []string
	more := 0
	for l := s.first(last.node); l >= 0; l = s.leaves[l].next {
		if len(values) == maxDescribed {
			more++
			continue
		}
		values = append(values, s.leaves[l].describe())
	}
	if values == nil {
		return describeOther(e, c.path)
	}
	found := strings.Join(values, ", ")
	if more > 0 {
		found += fmt.Sprintf(" and %d more", more)
	}
	if s.holds(&way{wants: []want{last}}, 1) {
		found += ", but not in one element of the array together with what the fields before it want"
	}
	return found
}

func (l *leaf) describe() string {
	const limit = 100
	switch {
	case l.kind == '"' && len(l.text) > limit:
		return quote(strings.ToValidUTF8(l.text[:limit], "")) + "…"
	case l.kind == '"':
		return quote(l.text)
	case l.text == "":
		return strconv.FormatFloat(l.number, 'f', -1, 64)
	}
	return l.text
}

// describeOther says what is at a path that has no value to compare with.
func describeOther(e *Event, path []string) string {
	var v any
	text := e.Data
	if path[0] == envelope[fieldMetadata] {
		text = e.Metadata
	}
	if len(text) == 0 {
		return "no " + path[0]
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	for i, key := range path[1:] {
		parent, ok := v.(map[string]any)
		if !ok {
			break
		}
		if v, ok = parent[key]; !ok {
			return "no such field, as there is no " + strings.Join(path[:i+2], " / ")
		}
	}
	switch v.(type) {
	case map[string]any:
		return "an object, which is no value: name a field in it"
	case []any:
		return "an array without a value there"
	}
	return "no such field"
}
