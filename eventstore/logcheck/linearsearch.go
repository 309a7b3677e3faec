package logcheck

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

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
