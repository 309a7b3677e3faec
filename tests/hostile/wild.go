package hostile

import (
	"fmt"
	"net/url"
	"strings"
)

// wildMutations are of anything, and promise nothing.
var wildMutations = []mutation{
	{name: "bytes of the body changed", apply: func(w *world, c *call) bool {
		c.seal()
		for range 1 + w.rng.IntN(8) {
			if len(c.body) == 0 {
				return false
			}
			c.body[w.rng.IntN(len(c.body))] = byte(w.rng.IntN(256))
		}
		return true
	}},
	{name: "bytes for a body", apply: func(w *world, c *call) bool {
		c.body = w.bytes(w.rng.IntN(2000))
		if w.chance(2) {
			c.set("Content-Type", "application/json")
		}
		return true
	}},
	{name: "bytes for a path", apply: func(w *world, c *call) bool {
		target := "/" + strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f {
				return '/'
			}
			return r
		}, string(w.bytes(w.rng.IntN(60))))
		if _, err := url.ParseRequestURI(target); err != nil {
			return false // net/http would refuse it
		}
		c.target = target
		return true
	}},
	{name: "bytes for a query", apply: func(w *world, c *call) bool {
		c.target = withQuery(c.target, url.QueryEscape(string(w.bytes(w.rng.IntN(20))))+"="+url.QueryEscape(string(w.bytes(w.rng.IntN(600)))))
		return true
	}},
	{name: "bytes for headers", apply: func(w *world, c *call) bool {
		known := []string{"If-Match", "If-None-Match", "Idempotency-Key", "Consistency-Token", "Prefer", "X-Correlation-Id", "Traceparent",
			"Tracestate", "X-Request-Id", "Accept", "Content-Encoding", "Content-Type", "Origin", "Sec-Fetch-Site", "Range", "Cookie"}
		for range 1 + w.rng.IntN(4) {
			value := strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return '\t'
				}
				return r
			}, string(w.bytes(w.rng.IntN(300))))
			c.set(pick(w, known), value)
		}
		return true
	}},
	{name: "other method", apply: func(w *world, c *call) bool {
		c.method = pick(w, []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", strings.Repeat("M", 200)})
		return true
	}},
}

// bytes returns n bytes: any, text, or what has a meaning somewhere.
func (w *world) bytes(n int) []byte {
	const telling = `{}[]":,\/%?&=;'<>*$-_.0123456789eE+ntrue` + "\x00\n\r\xff\xc3\xa9"
	b := make([]byte, n)
	likely := w.rng.IntN(2)
	for i := range b {
		if b[i] = byte(w.rng.IntN(256)); likely == 1 {
			b[i] = telling[w.rng.IntN(len(telling))]
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
func (w *world) wild(base call) (c call, steps []wildStep) {
	all := append(append([]mutation{}, mutations...), wildMutations...)
	c = base.clone()
	for range 1 + w.rng.IntN(4) {
		s := wildStep{pick(w, all), w.rng.Uint64()}
		if w.rng.IntN(3) > 0 {
			s.mutation = pick(w, wildMutations)
		}
		changed := c.clone()
		if s.do(w, &changed) {
			c, steps = changed, append(steps, s)
		}
	}
	c.wants, c.done = nil, nil
	return c, steps
}

// do applies a step, as often as it is called in the same way.
func (s wildStep) do(w *world, c *call) bool {
	same := *w
	same.rng = newRand(s.seed, 0)
	return s.mutate(&same, c)
}

func (s wildStep) String() string { return fmt.Sprintf("%s (%#x)", s.name, s.seed) }
