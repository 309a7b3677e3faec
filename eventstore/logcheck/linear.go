package logcheck

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// LinearOptions bound the check of linearizability.
type LinearOptions struct {
	// PerStream is how long one stream may take before it is given up as not
	// decided. Default: 10 s.
	PerStream time.Duration
	// Chunk is how many operations are searched for an order together. Default:
	// 256.
	Chunk int
	// Pictures is the folder in which what has no order is drawn, as pages for a
	// browser that violations name. Default: nothing is drawn.
	Pictures string
}

// Linearizable checks for each stream that its appends, conflicts and reads can
// be put in one order that explains what all clients were told, and in which
// nothing comes before what had ended when it began. The log settles which
// appends of unknown outcome happened.
//
// The answers name versions, so the order of appends is known but for what
// happened at one version. A stream is cut by version in chunks that porcupine
// searches one after the other. Nothing is lost by the cut: all of a chunk must
// happen before all of the next, so a chunk begins no earlier than the last
// start before it, and what ended earlier is out of order.
func Linearizable(h *History, l *Log, o LinearOptions) []Violation {
	o.PerStream, o.Chunk = cmp.Or(o.PerStream, 10*time.Second), cmp.Or(o.Chunk, 256)
	illegal, undecided := findings{rule: RuleLinearizable}, findings{rule: RuleUndecided}
	all := pointsOf(h, l)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		points := all[name]
		c := checker{l: l, stream: -1, h: h}
		if s, ok := l.byName[name]; ok {
			c.stream = s
		}
		points = c.fill(points)
		slices.SortStableFunc(points, comparePoints)
		deadline := time.Now().Add(o.PerStream)
		version, begun := int64(-1), point{start: math.MinInt64}
		for chunk := range slices.Chunk(points, o.Chunk) {
			result, why := c.chunk(version, begun, chunk, time.Until(deadline))
			if result == porcupine.Illegal {
				if o.Pictures != "" && len(illegal.named) < maxNamed {
					why += c.draw(version, begun, chunk, filepath.Join(o.Pictures, fmt.Sprintf("not-linearizable-%d.html", 1+len(illegal.named))))
				}
				illegal.add("stream %q: %s", name, why)
				break
			}
			if result == porcupine.Unknown {
				undecided.add("stream %q: %d operations from version %d on, and all behind them, were not decided in %s",
					name, len(chunk), version, o.PerStream)
				break
			}
			version = chunk[len(chunk)-1].version
			begun = slices.MaxFunc(append(chunk, begun), func(a, b point) int { return cmp.Compare(a.start, b.start) })
		}
	}
	return append(illegal.list(), undecided.list()...)
}

// checker checks one stream.
type checker struct {
	h      *History
	l      *Log
	stream int32 // -1: the log does not have it
}

// chunk checks a chunk that begins at a version, and no earlier than begun did.
// It says what is wrong.
func (c *checker) chunk(version int64, begun point, points []point, timeout time.Duration) (result porcupine.CheckResult, why string) {
	for i := range points {
		if points[i].end < begun.start {
			return porcupine.Illegal, c.name(&points[i]) + " ended before " + c.name(&begun) + " began, but must come after it"
		}
		points[i].start = max(points[i].start, begun.start)
	}
	if result = c.search(version, points, timeout); result == porcupine.Ok {
		return result, ""
	}
	if why = c.explain(version, points); why != "" {
		result = porcupine.Illegal
	}
	return result, why
}

// explain says why points have no order. It finds the reason of most that have
// none, and none of those that have one.
func (c *checker) explain(version int64, points []point) string {
	begun := &points[0]
	for i := range points {
		p := &points[i]
		switch {
		case p.before != version && p.version != p.before:
			return fmt.Sprintf("%s does not follow version %d", c.name(p), version)
		case p.before != version:
			return fmt.Sprintf("%s comes when the stream goes from version %d to another", c.name(p), version)
		case !c.possible(version, p):
			return c.name(p) + " should have been answered otherwise"
		case p.end < begun.start:
			return c.name(p) + " ended before " + c.name(begun) + " began, but must come after it"
		case p.start > begun.start:
			begun = p
		}
		version = p.version
	}
	return ""
}

func (c *checker) name(p *point) string {
	switch p.kind {
	case wrote:
		return c.h.Appends[p.place].String() + " (acknowledged or stored)"
	case conflicted:
		return c.h.Appends[p.place].String() + " (refused)"
	case read:
		return c.h.Reads[p.place].String()
	default:
		return "an event that no client sent"
	}
}
