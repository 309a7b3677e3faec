package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// optional are members that may be left out, or be null.
var optional = []string{"id", "customer_id", "email", "description", "workers", "throttle", "memory_bytes", "verify", "keep"}

// bodyMutations are of the tree: each of one member, wherever it is.
var bodyMutations = []mutation{
	{"wrong type", onMember(func(l *Luck, p place) bool {
		p.member().value = otherType(l, p.member().value)
		return true
	}), on(400, "invalid-body")},
	{"null", onMember(func(_ *Luck, p place) bool {
		p.member().value = nil
		return !slices.Contains(optional, p.member().name)
	}), append(on(400, "invalid-body"), on(422, "invalid-input")...)},
	{"member left out", onMember(func(_ *Luck, p place) bool {
		name := p.member().name
		p.drop()
		return !slices.Contains(optional, name) && !slices.Contains(timeMembers, name)
	}), append(on(400, "invalid-body", "invalid-operation"), on(422, "invalid-input")...)},
	{"unknown member", onMember(func(l *Luck, p place) bool {
		p.insert(member{Pick(l, []string{"total_minor", "Country", "", "ключ", "__proto__", strings.Repeat("n", 5000)}), int64(1)})
		return true
	}), on(400, "invalid-body")},
	{"member twice", onMember(func(_ *Luck, p place) bool {
		p.insert(*p.member())
		return true
	}), on(400, "malformed-json")},
	{"number that is none of ours", onMember(func(l *Luck, p place) bool {
		_, is := p.member().value.(int64)
		p.member().value = Raw(Pick(l, []string{"1.5", "1e400", "-1e400", "9007199254740993", "-9007199254740993", "9223372036854775808", "1e-1", "0.1"}))
		return is
	}), on(400, "invalid-body")},
	{"number out of bounds", onMember(func(l *Luck, p place) bool {
		_, is := p.member().value.(int64)
		p.member().value = Pick(l, []int64{1<<53 - 1, 1e13, -1e13, -1<<53 + 1})
		return is && slices.Contains([]string{"quantity", "delta", "unit_price_minor"}, p.member().name)
	}), on(422, "invalid-input")},
	{"text too long", onText(strings.Repeat("x", 600)), append(on(400, "invalid-body"), on(422, "invalid-input")...)},
	{"control character", onText("a\u0007b"), append(on(400, "invalid-body"), on(422, "invalid-input")...)},
	{"NUL", onText("a\u0000b"), on(400, "invalid-body")},
	{"bad UTF-8", onRawText("\"a\xffb\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\""), on(400, "malformed-json")},
	{"lone surrogate", onRawText(`"\ud800"`, `"\udc00x"`, `"\ud83d\u0041"`), on(400, "malformed-json")},
	{"no JSON in a member", onRawText("NaN", "Infinity", "'x'", "undefined", "01", "+1", ".5", `"\x41"`, "TRUE", "\"a\nb\"", ""), on(400, "malformed-json")},
	{"bad time", onMember(func(l *Luck, p place) bool {
		p.member().value = Pick(l, []string{"yesterday", "2011-12-09", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "2011-02-30T00:00:00Z", "9999-12-31T23:59:59-01:00", "2011-12-09T25:00:00Z", ""})
		return slices.Contains(timeMembers, p.member().name)
	}), on(400, "invalid-body")},
	{"nested deep", onMember(func(l *Luck, p place) bool {
		depth := Pick(l, []int{40, 1000, 50_000})
		p.member().value = Raw(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		return true
	}), on(400, "invalid-body", "malformed-json")},
	{"too many lines", onMember(func(_ *Luck, p place) bool {
		lines, is := p.member().value.(*Array)
		if is && len(lines.Items) > 0 {
			p.member().value = &Array{slices.Repeat(lines.Items[:1], 2001)}
		}
		return is
	}), on(422, "invalid-input")},
	{"members in another order", func(l *Luck, c *Call) bool {
		if c.Tree == nil {
			return false
		}
		l.Rng.Shuffle(len(c.Tree.members), func(i, j int) {
			m := c.Tree.members
			m[i], m[j] = m[j], m[i]
		})
		return true
	}, nil},
}

// onMember changes one member of the body.
func onMember(change func(*Luck, place) bool) func(*Luck, *Call) bool {
	return func(l *Luck, c *Call) bool {
		if c.Tree == nil || len(c.Tree.members) == 0 {
			return false
		}
		p := Pick(l, places(c.Tree, ""))
		c.How = append(c.How, "at "+p.pointer)
		return change(l, p)
	}
}

// onText gives another value to a member that is a text.
func onText(value string) func(*Luck, *Call) bool {
	change := onMember(func(_ *Luck, p place) bool {
		_, is := p.member().value.(string)
		p.member().value = value
		return is
	})
	return func(l *Luck, c *Call) bool {
		// Any text may be a key, or an operator's reason.
		return IsCommand(c) && change(l, c)
	}
}

func onRawText(values ...string) func(*Luck, *Call) bool {
	return onMember(func(l *Luck, p place) bool {
		p.member().value = Raw(Pick(l, values))
		return true
	})
}

// otherType returns a value that is of another type.
func otherType(l *Luck, value any) any {
	others := []any{int64(7), "seven", true, &Array{[]any{int64(1)}}, Members("a", int64(1))}
	switch value.(type) {
	case int64:
		others = others[1:]
	case string, nil:
		others = slices.Delete(others, 1, 2)
	case bool:
		others = slices.Delete(others, 2, 3)
	case *Array:
		others = slices.Delete(others, 3, 4)
	}
	return Pick(l, others)
}

// byteMutations are of the rendered body.
var byteMutations = []mutation{
	{"cut off", onBytes(func(l *Luck, b []byte) []byte { return b[:l.Rng.IntN(len(b))] }), on(400, "malformed-json")},
	{"more behind the end", onBytes(func(l *Luck, b []byte) []byte {
		return append(b, Pick(l, []string{"{}", ",", "x", "\x00", "]"})...)
	}), on(400, "malformed-json")},
	{"something before the beginning", onBytes(func(l *Luck, b []byte) []byte {
		return append([]byte(Pick(l, []string{"\ufeff", "\x00", ",", ")]}',\n"})), b...)
	}), on(400, "malformed-json")},
	{"no object", onBytes(func(l *Luck, b []byte) []byte {
		return []byte(Pick(l, []string{"[" + string(b) + "]", "null", `"text"`, "1", "true"}))
	}), on(400, "invalid-body")},
	{"UTF-16", onBytes(func(_ *Luck, b []byte) []byte {
		var wide bytes.Buffer
		for _, c := range b {
			wide.Write([]byte{0, c})
		}
		return wide.Bytes()
	}), on(400, "malformed-json")},
	{"more than 1 MiB", onBytes(func(_ *Luck, b []byte) []byte {
		return append(b, bytes.Repeat([]byte(" "), 1<<20)...)
	}), on(413, "body-too-large")},
	{"white space", onBytes(func(_ *Luck, b []byte) []byte {
		return fmt.Appendf(nil, "\r\n\t %s \n", b)
	}), nil},
}

// onBytes changes a body after it was rendered.
func onBytes(change func(*Luck, []byte) []byte) func(*Luck, *Call) bool {
	return func(l *Luck, c *Call) bool {
		if !hasBody(c) {
			return false
		}
		c.Seal()
		c.Body = change(l, c.Body)
		return len(c.Body) > 0
	}
}

var timeMembers = []string{"at", "placed_at", "returned_at"}

// AtAnotherTime changes the business time in a call's body.
func (c *Call) AtAnotherTime() {
	const other = "1999-12-31T23:59:59Z"
	if c.Tree == nil {
		c.Tree = Members()
	}
	for i, m := range c.Tree.members {
		if slices.Contains(timeMembers, m.name) {
			c.Tree.members[i].value = other
			return
		}
	}
	c.Tree.Add("at", other)
}
