package logcheck

import (
	"cmp"
	"math"
	"slices"
)

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
