package delivery

import (
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// recentEvents and recentBytes bound the events kept for those that fell behind a little.
const (
	recentEvents = 8192
	recentBytes  = 16 << 20
)

// recentEventList is the last events of the log, without gaps.
type recentEventList struct {
	runs          []recentRun
	events, bytes int
}

type recentRun struct {
	from, upto int64
	events     []eventstore.RecordedEvent
	bytes      int
}

func (l *recentEventList) add(from, upto int64, events []eventstore.RecordedEvent) {
	r := recentRun{from: from, upto: upto, events: events}
	for i := range events {
		r.bytes += events[i].Size()
	}
	l.runs = append(l.runs, r)
	l.events, l.bytes = l.events+len(events), l.bytes+r.bytes
	drop := 0
	for ; drop < len(l.runs) && (l.events > recentEvents || l.bytes > recentBytes); drop++ {
		l.events, l.bytes = l.events-len(l.runs[drop].events), l.bytes-l.runs[drop].bytes
	}
	clear(l.runs[:drop])
	l.runs = l.runs[drop:]
}

// first returns the lowest position from which on all is there; what is behind the last one is, where
// the list goes up to.
func (l *recentEventList) first(upto int64) int64 {
	if len(l.runs) == 0 {
		return upto + 1
	}
	return l.runs[0].from
}

// from returns the runs from a position on.
func (l *recentEventList) from(position int64) []recentRun {
	i, _ := slices.BinarySearchFunc(l.runs, position, func(r recentRun, p int64) int { return int(r.upto - p) })
	return slices.Clone(l.runs[i:])
}
