package validate

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

// comparePoints orders by the version after a point. Of those that have one, the
// one that wrote it comes first; the others may be in any order that their times
// allow, so that they can be cut anywhere if they are by their starts.
func comparePoints(a, b point) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(b.version-b.before, a.version-a.before), cmp.Compare(a.start, b.start))
}

// pointsOf returns what is known to have happened in each stream.
func pointsOf(h *History, l *Log) map[string][]point {
	points := make(map[string][]point)
	for i := range h.Reads {
		r := &h.Reads[i]
		points[r.Stream] = append(points[r.Stream], point{r.Version, r.Version, r.Start, r.End, read, int32(i)})
	}
	first := make(map[int32]int) // the place of an append among its stream's points, by that of its first event
	for _, duplicates := range []bool{false, true} {
		for i := range h.Appends {
			a := &h.Appends[i]
			if a.Duplicate != duplicates {
				continue
			}
			if a.Outcome == Conflicted {
				points[a.Stream] = append(points[a.Stream], point{a.Version, a.Version, a.Start, a.End, conflicted, int32(i)})
				continue
			}
			p, ok := l.wrote(a, int32(i))
			if !ok {
				continue
			}
			place, stored := l.first(a)
			if at, again := first[place]; stored && again {
				points[a.Stream][at].retried(p)
				continue
			}
			if duplicates {
				continue // somebody else wrote it, maybe in other pieces
			}
			if stored {
				first[place] = len(points[a.Stream])
			}
			points[a.Stream] = append(points[a.Stream], p)
		}
	}
	return points
}

// retried adds an attempt of the same append. One of them wrote it: after the
// first of them began, before any was acknowledged.
func (p *point) retried(again point) {
	if p.version == again.version && p.before == again.before {
		p.start, p.end = min(p.start, again.start), min(p.end, again.end)
	}
}

// wrote returns where an append wrote: where the client was told, or, if it was
// not told, where it is in the log.
func (l *Log) wrote(a *Append, i int32) (p point, ok bool) {
	n := int64(len(a.IDs))
	switch {
	case n == 0 || a.Outcome == Refused || l.lost(a.Incarnation, a.Position):
		return point{}, false
	case a.Outcome == Acked:
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

// progress is a state of the search.
type progress struct {
	version int64
	// seen is how many points that wrote nothing have happened at it.
	seen int
}

// candidate is a point in the search.
type candidate struct {
	*point
	// first is how many points must have happened at the version before: those
	// that wrote nothing. It keeps the search from going on without them.
	first int
}

// search asks porcupine for an order.
func (c *checker) search(version int64, points []point, timeout time.Duration) porcupine.CheckResult {
	if timeout <= 0 {
		return porcupine.Unknown
	}
	return porcupine.CheckOperationsTimeout(c.model(version), operationsOf(version, points), timeout)
}

// operationsOf returns points as porcupine takes them.
func operationsOf(version int64, points []point) []porcupine.Operation {
	operations := make([]porcupine.Operation, len(points))
	at, seen := version, 0
	for i := range points {
		p := candidate{point: &points[i]}
		switch {
		case p.version != p.before:
			p.first = seen
			at, seen = p.version, 0
		case p.version == at:
			seen++
		}
		operations[i] = porcupine.Operation{Input: p, Call: p.start, Return: p.end}
	}
	return operations
}

// model is a stream that is at a version.
func (c *checker) model(version int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return progress{version: version} },
		Step: func(state, input, _ any) (bool, any) {
			now, p := state.(progress), input.(candidate)
			switch {
			case !c.possible(now.version, p.point) || now.seen < p.first:
				return false, state
			case p.version == p.before:
				now.seen++
			default:
				now = progress{version: p.version}
			}
			return true, now
		},
		DescribeOperation: func(input, _ any) string { return c.name(input.(candidate).point) },
		DescribeState:     func(state any) string { return fmt.Sprintf("version %d", state.(progress).version) },
	}
}

// possible says whether a point may happen at a version.
func (c *checker) possible(version int64, p *point) bool {
	switch {
	case p.before != version:
		return false
	case p.kind == wrote:
		return c.accepts(c.h.Appends[p.place].Expected, version)
	case p.kind == conflicted:
		return !c.accepts(c.h.Appends[p.place].Expected, version)
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
