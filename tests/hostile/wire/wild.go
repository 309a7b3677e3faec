package wire

import (
	"fmt"
	"net/url"
	"strings"
)

// wildMutations are of anything, and promise nothing.
var wildMutations = []mutation{
	{name: "bytes of the body changed", apply: func(l *Luck, c *Call) bool {
		c.Seal()
		for range 1 + l.Rng.IntN(8) {
			if len(c.Body) == 0 {
				return false
			}
			c.Body[l.Rng.IntN(len(c.Body))] = byte(l.Rng.IntN(256))
		}
		return true
	}},
	{name: "bytes for a body", apply: func(l *Luck, c *Call) bool {
		c.Body = l.bytes(l.Rng.IntN(2000))
		if l.Chance(2) {
			c.Set("Content-Type", "application/json")
		}
		return true
	}},
	{name: "bytes for a path", apply: func(l *Luck, c *Call) bool {
		target := "/" + strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f {
				return '/'
			}
			return r
		}, string(l.bytes(l.Rng.IntN(60))))
		if _, err := url.ParseRequestURI(target); err != nil {
			return false // net/http would refuse it
		}
		c.Target = target
		return true
	}},
	{name: "bytes for a query", apply: func(l *Luck, c *Call) bool {
		c.Target = withQuery(c.Target, url.QueryEscape(string(l.bytes(l.Rng.IntN(20))))+"="+url.QueryEscape(string(l.bytes(l.Rng.IntN(600)))))
		return true
	}},
	{name: "bytes for headers", apply: func(l *Luck, c *Call) bool {
		known := []string{"If-Match", "If-None-Match", "Idempotency-Key", "Consistency-Token", "Prefer", "X-Correlation-Id", "Traceparent",
			"Tracestate", "X-Request-Id", "Accept", "Content-Encoding", "Content-Type", "Origin", "Sec-Fetch-Site", "Range", "Cookie"}
		for range 1 + l.Rng.IntN(4) {
			value := strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return '\t'
				}
				return r
			}, string(l.bytes(l.Rng.IntN(300))))
			c.Set(Pick(l, known), value)
		}
		return true
	}},
	{name: "other method", apply: func(l *Luck, c *Call) bool {
		c.Method = Pick(l, []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", strings.Repeat("M", 200)})
		return true
	}},
}

// bytes returns n bytes: any, text, or what has a meaning somewhere.
func (l *Luck) bytes(n int) []byte {
	const telling = `{}[]":,\/%?&=;'<>*$-_.0123456789eE+ntrue` + "\x00\n\r\xff\xc3\xa9"
	b := make([]byte, n)
	likely := l.Rng.IntN(2)
	for i := range b {
		if b[i] = byte(l.Rng.IntN(256)); likely == 1 {
			b[i] = telling[l.Rng.IntN(len(telling))]
		}
	}
	return b
}

// wildStep is a mutation with the luck that it had, so that it can be done again.
type wildStep struct {
	mutation
	seed uint64
}

// wild returns a call that was mutated several times, the call that it was made
// of, and how.
func (l *Luck) wild(base Call) (c Call, steps []wildStep) {
	all := append(append([]mutation{}, mutations...), wildMutations...)
	c = base.Clone()
	for range 1 + l.Rng.IntN(4) {
		s := wildStep{Pick(l, all), l.Rng.Uint64()}
		if l.Rng.IntN(3) > 0 {
			s.mutation = Pick(l, wildMutations)
		}
		changed := c.Clone()
		if s.do(l, &changed) {
			c, steps = changed, append(steps, s)
		}
	}
	c.Wants, c.Done = nil, nil
	return c, steps
}

// do applies a step, as often as it is called in the same way.
func (s wildStep) do(l *Luck, c *Call) bool {
	same := *l
	same.Rng = NewRand(s.seed, 0)
	return s.mutate(&same, c)
}

func (s wildStep) String() string { return fmt.Sprintf("%s (%#x)", s.name, s.seed) }
