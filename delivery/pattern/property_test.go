package pattern_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery/pattern"
)

var seed = flag.Uint64("pattern.seed", 1, "seed of random patterns and events")

// random makes patterns and events of few keys and values, so that many match.
type random struct{ *rand.Rand }

func oneOf[T any](r random, all ...T) T { return all[r.IntN(len(all))] }

func (r random) key() string { return oneOf(r, "a", "b", "c", "a.b", "$or") }

func (r random) text() string {
	return oneOf(r, "", "x", "X", "xy", "yx", "xyx", "x*y", `x\y`, "ſx", "Kk", "10.1.2.3", "10.1.9.9", "::ffff:10.1.2.3", "2001:db8::1", "true", "1")
}

func (r random) number() json.Number {
	return json.Number(oneOf(r, "0", "-0", "1", "1.0", "10e-1", "2", "1.5", "-3", "1e400", "9007199254740993"))
}

// document is a random value of an event.
func (r random) document(depth int) any {
	n := r.IntN(12)
	switch {
	case n < 3 && depth > 0:
		object := make(map[string]any)
		for range r.IntN(4) {
			object[r.key()] = r.document(depth - 1)
		}
		return object
	case n < 6 && depth > 0:
		array := make([]any, r.IntN(4))
		for i := range array {
			array[i] = r.document(depth - 1)
		}
		return array
	case n < 9:
		return r.text()
	case n < 11:
		return r.number()
	}
	return oneOf[any](r, true, false, nil)
}

func (r random) finite() json.Number {
	for {
		if n := r.number(); n != "1e400" {
			return n
		}
	}
}

func (r random) wildcard() string {
	return oneOf(r, "*", "x*", "*x", "*y*", "x*x", "x*y*x", `x\*y`, `x\\*`, "xy", "*.1.*.*")
}

// alternative is one that compiles but for exceptions.
func (r random) alternative() any {
	type expression = map[string]any
	list := func(one func() any) any {
		if r.IntN(2) == 0 {
			return one()
		}
		return []any{one(), one()}
	}
	text := func() any { return r.text() }
	switch r.IntN(14) {
	case 0, 1, 2:
		return r.text()
	case 3:
		return r.finite()
	case 4:
		return oneOf[any](r, true, false, nil)
	case 5:
		return expression{oneOf(r, "prefix", "suffix"): r.text()}
	case 6:
		return expression{oneOf(r, "prefix", "suffix"): expression{"equals-ignore-case": r.text()}}
	case 7:
		return expression{"equals-ignore-case": r.text()}
	case 8:
		return expression{"wildcard": r.wildcard()}
	case 9:
		return expression{"anything-but": oneOf(r, list(text), list(func() any { return r.finite() }),
			any(expression{oneOf(r, "prefix", "suffix", "equals-ignore-case"): list(text)}),
			any(expression{"wildcard": list(func() any { return r.wildcard() })}))}
	case 10:
		return expression{"numeric": oneOf(r, []any{oneOf(r, "=", "<", "<=", ">", ">="), r.finite()}, []any{oneOf(r, ">", ">="), json.Number("0"), oneOf(r, "<", "<="), json.Number("1.5")})}
	case 11:
		return expression{"cidr": oneOf(r, "10.1.2.0/24", "10.0.0.0/8", "2001:db8::/32", "::/0", "0.0.0.0/0")}
	case 12:
		return expression{"exists": true}
	}
	return expression{"exists": false}
}

// fields are those of a pattern below data.
func (r random) fields(depth int) map[string]any {
	object := make(map[string]any)
	for range 1 + r.IntN(2) {
		switch n := r.IntN(6); {
		case n == 0 && depth > 0:
			object["$or"] = []any{r.fields(depth - 1), r.fields(depth - 1)}
		case n < 3 && depth > 0:
			object[oneOf(r, "a", "b", "c", "a.b")] = r.fields(depth - 1)
		default:
			alternatives := []any{r.alternative()}
			for r.IntN(3) == 0 {
				alternatives = append(alternatives, r.alternative())
			}
			object[r.key()] = alternatives
		}
	}
	return object
}

func (r random) pattern() []byte {
	object := map[string]any{"data": r.fields(3)}
	switch r.IntN(8) {
	case 0:
		object["type"] = []any{oneOf(r, "T", "U")}
	case 1:
		object["metadata"] = r.fields(1)
	case 2:
		object[oneOf(r, "position", "version", "schema_version")] = []any{map[string]any{"numeric": []any{oneOf(r, "=", ">", "<="), r.finite()}}}
	case 3:
		object["stream"] = []any{map[string]any{"prefix": oneOf(r, "a-", "b")}}
	}
	return encode(object)
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// event returns an event, and what the oracle knows of it.
func (r random) event() (pattern.Event, oracle, string) {
	envelope := map[string]any{"position": json.Number(fmt.Sprint(1 + r.IntN(3))), "stream": oneOf(r, "a-1", "b-2"), "version": json.Number("1"),
		"id": "00000000-0000-0000-0000-0000000000ff", "type": oneOf(r, "T", "U"), "schema_version": json.Number("2"), "recorded_at": "2026-01-02T03:04:05.06Z"}
	envelope["category"] = envelope["stream"].(string)[:1]
	var metadata, data []byte
	if r.IntN(3) > 0 {
		metadata = encode(r.document(2))
	}
	if r.IntN(20) > 0 {
		object := make(map[string]any)
		for range 1 + r.IntN(3) {
			object[r.key()] = r.document(4)
		}
		data = encode(object)
	}
	if r.IntN(30) == 0 {
		data = append(data, '}')
	}
	whole := make(map[string]any)
	for name, v := range envelope {
		whole[name] = v
	}
	e, err := pattern.ParseEvent(encode(whole))
	if err != nil {
		panic(err)
	}
	e.Metadata, e.Data = metadata, data
	return e, newOracle(envelope, metadata, data), fmt.Sprintf("%s metadata %s data %s", encode(whole), metadata, data)
}

// TestMatchesAsTheOracle changes a matcher at random, and matches random events with it.
func TestMatchesAsTheOracle(t *testing.T) {
	t.Parallel()
	r := random{rand.New(rand.NewPCG(*seed, 0))}
	const rounds = 400
	var m pattern.Matcher[int]
	type both struct {
		text     []byte
		compiled *pattern.Pattern
	}
	patterns := make(map[int]both)
	matches, tries := 0, 0
	for range rounds {
		for range r.IntN(8) {
			text, id := r.pattern(), r.IntN(100)
			p, err := pattern.Compile(text)
			if err != nil {
				if !strings.Contains(err.Error(), "complexity") && !strings.Contains(err.Error(), "ways to match") {
					t.Fatalf("Compile(%s): %v", text, err)
				}
				continue
			}
			patterns[id] = both{text, p}
			m.Add(id, p)
		}
		if r.IntN(3) == 0 {
			id := r.IntN(100)
			delete(patterns, id)
			m.Remove(id)
		}
		if m.Len() != len(patterns) {
			t.Fatalf("Len = %d, want %d", m.Len(), len(patterns))
		}
		e, o, told := r.event()
		found := m.Match(&e, nil)
		slices.Sort(found)
		if len(slices.Compact(slices.Clone(found))) != len(found) {
			t.Fatalf("Match = %v: an id is there twice", found)
		}
		for id, p := range patterns {
			want := o.matches(p.text)
			tries++
			if want {
				matches++
			}
			if slices.Contains(found, id) != want {
				t.Fatalf("pattern %s\nevent %s\nmatched = %v, want %v", p.text, told, !want, want)
			}
			if x := p.compiled.Explain(&e); x.Matched != want {
				t.Fatalf("pattern %s\nevent %s\nExplain = %+v, want matched = %v", p.text, told, x.Clause, want)
			}
		}
	}
	if matches*50 < tries {
		t.Errorf("%d of %d matched: too few to prove much", matches, tries)
	}
}

// Scanning must find the same texts to be JSON as package json, and values in them.
func FuzzMatch(f *testing.F) {
	for _, p := range []string{
		`{"type":["T"]}`, `{"data":{"a":["x",1,true,null]}}`, `{"data":{"a":{"b":[{"prefix":"x"}],"c":[{"exists":false}]}}}`,
		`{"data":{"$or":[{"a":[{"wildcard":"*x*"}]},{"b":[{"anything-but":["x"]}]}]}}`, `{"data":[{"numeric":[">",0,"<=",5]}]}`,
		`{"data":{"é":[{"equals-ignore-case":"ÀK"}],"a":[{"suffix":"x"},{"cidr":"10.0.0.0/8"}]}}`,
	} {
		for _, d := range []string{
			``, `{}`, `{"a":"x"}`, `{"a":[{"b":"xy"},{"b":1,"c":[]}]}`, `[1,[2,{"a":"\u00e9\ud83d\ude00\ud800"}]]`, `{"a":1,"a":"x"}`,
			` {"\u0061" : -1.5e+3 , "b":[true,false,null]} `, `{"a":"x"`, "5", "\"\xff\"", `{"a":01}`, `{"a":"\x"}`, `{"é":"àK","a":"10.1.1.1"}`,
		} {
			f.Add([]byte(p), []byte(d))
		}
	}
	f.Add([]byte(`{"data":[{"exists":true}]}`), []byte(strings.Repeat("[", 128)+"1"+strings.Repeat("]", 128)))
	f.Add([]byte(`{"data":[{"exists":true}]}`), []byte(strings.Repeat("[", 129)+"1"+strings.Repeat("]", 129)))
	f.Fuzz(func(t *testing.T, text, data []byte) {
		p, err := pattern.Compile(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("the error says nothing")
			}
			return
		}
		e := pattern.Event{Position: 7, Stream: "a-1", Category: "a", Version: 1, Type: "T", SchemaVersion: 1, RecordedAt: time.Unix(0, 5000), Data: data}
		o := newOracle(map[string]any{"position": json.Number("7"), "stream": "a-1", "category": "a", "version": json.Number("1"),
			"id": "00000000-0000-0000-0000-000000000000", "type": "T", "schema_version": json.Number("1"), "recorded_at": "1970-01-01T00:00:00.000005Z"}, nil, data)
		if o.choices(text) > 10_000 {
			return
		}
		want := o.matches(text)
		var m pattern.Matcher[int]
		m.Add(1, p)
		if got := m.Match(&e, nil); len(got) > 0 != want {
			t.Errorf("pattern %s\ndata %s\nmatched = %v, want %v", text, data, !want, want)
		}
		if x := p.Explain(&e); x.Matched != want {
			t.Errorf("pattern %s\ndata %s\nExplain = %+v, want matched = %v", text, data, x.Clause, want)
		}
	})
}
