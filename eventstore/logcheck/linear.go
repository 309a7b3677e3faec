package logcheck

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Linearizable checks for each stream that its appends, conflicts and reads can
// be put in one order that explains what all clients were told, and in which
// nothing comes before what had ended when it began. The log settles which
// appends of unknown outcome happened.
//
// The answers name versions, so only the order of what wrote nothing at the same
// version is open, and there any order that the clock allows will do. So an order
// exists if in that of versions nothing ended before something in front of it
// began: no search is needed.
func Linearizable(h *History, l *Log) []Violation {
	f := findings{rule: RuleLinearizable}
	all := pointsOf(h, l)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := checker{l: l, stream: -1, h: h}
		if s, ok := l.byName[name]; ok {
			c.stream = s
		}
		if why := c.disorder(c.fill(all[name])); why != "" {
			f.add("stream %q: %s", name, why)
		}
	}
	return f.list()
}

// checker checks one stream.
type checker struct {
	h      *History
	l      *Log
	stream int32 // -1: the log does not have it
}

// disorder says why points have no order, if they have none.
func (c *checker) disorder(points []point) string {
	slices.SortStableFunc(points, comparePoints)
	version, begun := int64(-1), &point{start: math.MinInt64}
	for i := range points {
		p := &points[i]
		switch {
		case p.before != version && p.version != p.before:
			return fmt.Sprintf("%s does not follow version %d", c.name(p), version)
		case p.before != version:
			return fmt.Sprintf("%s comes when the stream goes from version %d to another", c.name(p), version)
		case !c.possible(p):
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

// possible says whether what a client was told fits the version before it.
func (c *checker) possible(p *point) bool {
	switch p.kind {
	case wrote:
		return c.accepts(c.h.Appends[p.place].Expected, p.before)
	case conflicted:
		return !c.accepts(c.h.Appends[p.place].Expected, p.before)
	default:
		return true
	}
}

// accepts says whether a demand is met at a version.
func (c *checker) accepts(e Expected, version int64) bool {
	exists := version >= 0 && !c.l.deletes(c.stream, version)
	switch e {
	case AnyVersion:
		return true
	case NoStream:
		return !exists
	case StreamExists:
		return exists
	default:
		return version == int64(e)
	}
}

// deletes reports whether the event at a version of a stream deletes it.
func (l *Log) deletes(s int32, version int64) bool {
	if s < 0 || version < 0 || version >= int64(len(l.streams[s].events)) {
		return false
	}
	kind := l.types[l.events[l.streams[s].events[version]].kind]
	return kind == "$deleted" || kind == "$tombstone"
}
