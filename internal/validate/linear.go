package validate

import (
	"cmp"
	"maps"
	"math"
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
		state, begun := int64(-1), point{start: math.MinInt64}
		for len(points) > 0 {
			n := chunkEnd(points, o.Chunk)
			chunk := points[:n]
			points = points[n:]
			if late := clamp(chunk, begun.start); late != nil {
				illegal.add("%s ended before %s began, but must come after it", c.name(late), c.name(&begun))
				break
			}
			result := c.search(state, chunk, time.Until(deadline))
			if result == porcupine.Unknown {
				undecided.add("stream %q: %d operations from version %d on, and all behind them, were not decided in %s",
					name, len(chunk), state, o.PerStream)
				break
			}
			if result == porcupine.Illegal {
				illegal.add("stream %q: %s", name, c.explain(state, chunk))
				break
			}
			state = chunk[n-1].version
			for _, p := range chunk {
				if p.start > begun.start {
					begun = p
				}
			}
		}
	}
	return append(illegal.list(), undecided.list()...)
}

// point is something that happened at a version of a stream.
type point struct {
	// before and version are those of the stream around it; the same if it wrote
	// nothing.
	before, version int64
	start, end      int64
	kind            pointKind
	place           int32 // in the appends or reads of the history
}

type pointKind uint8

const (
	wrote    pointKind = iota // by a client
	appeared                  // in the log, sent by nobody that we know
	conflicted
	read
)

// comparePoints orders by the version after a point, and the one that wrote it
// first.
func comparePoints(a, b point) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(b.version-b.before, a.version-a.before))
}

// pointsOf returns what is known to have happened in each stream.
func pointsOf(h *History, l *Log) map[string][]point {
	points := make(map[string][]point)
	logical := make(map[streamKey]int) // the place of an append among its stream's points
	for i := range h.Appends {
		a := &h.Appends[i]
		switch {
		case a.Outcome == Conflicted:
			points[a.Stream] = append(points[a.Stream], point{a.Version, a.Version, a.Start, a.End, conflicted, int32(i)})
		case len(a.IDs) == 0 || a.Outcome == Refused || l.lost(a.Incarnation, a.Position):
		default:
			p, ok := l.wrote(a, int32(i))
			if !ok {
				continue
			}
			// Attempts of one append wrote it once: after the first of them began, before any was
			// acknowledged.
			k := streamKey{a.Stream, a.IDs[0]}
			if at, ok := logical[k]; ok {
				one := &points[a.Stream][at]
				one.start, one.end = min(one.start, p.start), min(one.end, p.end)
				continue
			}
			logical[k] = len(points[a.Stream])
			points[a.Stream] = append(points[a.Stream], p)
		}
	}
	for i := range h.Reads {
		r := &h.Reads[i]
		points[r.Stream] = append(points[r.Stream], point{r.Version, r.Version, r.Start, r.End, read, int32(i)})
	}
	return points
}

// wrote returns where an append wrote: where the client was told, or, if it was
// not told, where it is in the log.
func (l *Log) wrote(a *Append, i int32) (p point, ok bool) {
	n := int64(len(a.IDs))
	if a.Outcome == Acked {
		return point{a.Version - n, a.Version, a.Start, a.End, wrote, i}, true
	}
	place, ok := l.find(a.Stream, a.IDs[n-1])
	if !ok {
		return point{}, false
	}
	version := l.events[place].version
	return point{version - n, version, a.Start, never, wrote, i}, true
}

// checker checks one stream.
type checker struct {
	h      *History
	l      *Log
	stream int32 // -1: the log does not have it
}

// fill adds the versions that no append of the history wrote: the store's own
// events, and those of clients that were not recorded.
func (c *checker) fill(points []point) []point {
	if c.stream < 0 {
		return points
	}
	known := make([]bool, len(c.l.streams[c.stream].events))
	deleted := false
	for _, p := range points {
		for v := p.before + 1; v <= p.version; v++ {
			if v >= 0 && v < int64(len(known)) {
				known[v] = true
			}
		}
	}
	for v := range known {
		deleted = deleted || c.l.deletes(c.stream, int64(v))
		if !known[v] {
			points = append(points, point{int64(v) - 1, int64(v), math.MinInt64, never, appeared, 0})
		}
	}
	if deleted {
		// Not to find the stream says that it is deleted, not at which version.
		points = slices.DeleteFunc(points, func(p point) bool { return p.kind == read && p.version < 0 })
	}
	return points
}

// chunkEnd returns where to cut: behind the given number of points, but not
// between an append and what it must be compared with at its version, unless
// that alone would be too many.
func chunkEnd(points []point, limit int) int {
	n := min(limit, len(points))
	for n < len(points) && n < 2*limit && points[n].version == points[n-1].version {
		n++
	}
	return n
}

// clamp lets no point begin before a time. It returns a point that ended before.
func clamp(points []point, begun int64) (late *point) {
	for i := range points {
		if points[i].end < begun {
			return &points[i]
		}
		points[i].start = max(points[i].start, begun)
	}
	return nil
}

// search asks porcupine for an order.
func (c *checker) search(state int64, points []point, timeout time.Duration) porcupine.CheckResult {
	if len(points) == 1 {
		if ok, _ := c.step(state, &points[0]); ok {
			return porcupine.Ok
		}
		return porcupine.Illegal
	}
	if timeout <= 0 {
		return porcupine.Unknown
	}
	operations := make([]porcupine.Operation, len(points))
	for i := range points {
		operations[i] = porcupine.Operation{Input: &points[i], Call: points[i].start, Return: points[i].end}
	}
	return porcupine.CheckOperationsTimeout(porcupine.Model{
		Init: func() any { return state },
		Step: func(state, input, _ any) (bool, any) { return c.step(state.(int64), input.(*point)) },
	}, operations, timeout)
}

// step says whether a point may happen at a version, and the version after it.
func (c *checker) step(state int64, p *point) (ok bool, next int64) {
	if p.before != state {
		return false, state
	}
	switch p.kind {
	case wrote:
		ok = c.accepts(c.h.Appends[p.place].Expected, state)
	case conflicted:
		ok = !c.accepts(c.h.Appends[p.place].Expected, state)
	default:
		ok = true
	}
	return ok, p.version
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

// explain says why points have no order.
func (c *checker) explain(state int64, points []point) string {
	begun := &points[0]
	for i := range points {
		p := &points[i]
		switch {
		case p.kind == wrote || p.kind == appeared:
			if p.before != state {
				return c.name(p) + " does not follow the version before it"
			}
		case p.before != state:
			return c.name(p) + " saw a version that nobody wrote"
		}
		if ok, _ := c.step(state, p); !ok {
			return c.name(p) + " should have been answered otherwise"
		}
		if p.end < begun.start {
			return c.name(p) + " ended before " + c.name(begun) + " began, but must come after it"
		}
		if p.start > begun.start {
			begun = p
		}
		state = p.version
	}
	return "porcupine finds no order of operations that have one" // a bug of ours
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
