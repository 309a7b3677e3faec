package pattern

import (
	"fmt"
	"slices"
)

// The limits of a pattern. Compile refuses one beyond them.
const (
	// MaxBytes is how long the text may be.
	MaxBytes = 32 << 10
	// MaxDepth is how many objects and arrays may be inside one another.
	MaxDepth = 32
	// MaxAlternatives is how many ways to match there may be: the alternatives of an $or, multiplied by
	// those of each other one that must match with it. It bounds what a pattern takes in a Matcher.
	MaxAlternatives = 256
	// MaxComplexity bounds how long it takes to judge one event. A literal counts 1, a wildcard 64 for
	// each of its stars, every other operator 2, all for each way to match that they are part of.
	MaxComplexity = 4096
)

const (
	literalCost  = 1
	operatorCost = 2
	starCost     = 64
)

// Pattern is a compiled pattern. It never changes.
type Pattern struct {
	// ways are the ways to match: of one of them all clauses must hold.
	ways [][]*clause
}

// clause is what a pattern says about one field.
type clause struct {
	path   []string // keys from the envelope to the field
	at     string   // JSON pointer into the pattern
	wanted string   // the JSON there
	when   *condition
}

// Error says what is wrong with a pattern, or with the JSON of an event.
type Error struct {
	// Pointer is the JSON pointer of the place; empty: the whole.
	Pointer string
	// Reason says what is wrong there, and what to write instead.
	Reason string
}

func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Reason
	}
	return e.Pointer + ": " + e.Reason
}

func errorAt(pointer, format string, args ...any) error {
	return &Error{pointer, fmt.Sprintf(format, args...)}
}

// Types returns the types of event that can match, in order; nil: any.
func (p *Pattern) Types() []string { return p.pinned("type") }

// Categories returns the categories of stream that can match, in order; nil: any.
func (p *Pattern) Categories() []string { return p.pinned("category") }

// Streams returns the streams whose events can match, in order; nil: any.
func (p *Pattern) Streams() []string { return p.pinned("stream") }

func (p *Pattern) pinned(field string) []string {
	values := []string{}
	for _, way := range p.ways {
		i := slices.IndexFunc(way, func(c *clause) bool { return len(c.path) == 1 && c.path[0] == field && c.when.onlyLiterals() })
		if i < 0 {
			return nil
		}
		values = append(values, way[i].when.strings...)
	}
	slices.Sort(values)
	return slices.Compact(values)
}
