package commands

import lru "github.com/hashicorp/golang-lru/v2"

// cache keeps the last known states of the streams in use. They may be out of
// date, since other processes write too. It is safe for concurrent use.
type cache[S any] struct {
	states *lru.Cache[string, versioned[S]] // nil: nothing is kept
}

// newCache returns a cache of at most size states; none if size is negative.
func newCache[S any](size int) *cache[S] {
	states, err := lru.New[string, versioned[S]](size)
	if err != nil {
		// The only error is that of a size which is not positive.
		return &cache[S]{}
	}
	return &cache[S]{states: states}
}

// get returns the state of a stream, or that of a stream that does not exist.
func (c *cache[S]) get(stream string) (known versioned[S], ok bool) {
	if c.states == nil {
		return nothing[S](), false
	}
	if known, ok = c.states.Get(stream); !ok {
		return nothing[S](), false
	}
	return known, true
}

// put keeps a state. That of a stream which does not exist is not worth a place.
func (c *cache[S]) put(stream string, now versioned[S]) {
	switch {
	case c.states == nil:
	case now.version < 0:
		c.states.Remove(stream)
	default:
		c.states.Add(stream, now)
	}
}

func (c *cache[S]) remove(stream string) {
	if c.states != nil {
		c.states.Remove(stream)
	}
}
