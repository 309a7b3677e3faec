package logcheck

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Log is what is stored in the end, without the bytes of the events. The zero
// Log is not usable: take NewLog or ReadLog.
type Log struct {
	// Restores are the times that the log was restored from a backup or failed
	// over to a copy, in order.
	Restores []Restore

	identify func(*eventstore.RecordedEvent) uuid.UUID
	events   []entry
	streams  []stream
	byName   map[string]int32
	types    []string
	byType   map[string]int32
	byID     map[streamID]int32 // the first event of an id
	repeated []int32            // events whose id their stream had before
}

// Restore is the beginning of another incarnation of the log.
type Restore struct {
	// Incarnation is the number of the one that begins.
	Incarnation int64
	// LastCommon is the last position that it shares with the one before.
	LastCommon int64
}

// entry is an event.
type entry struct {
	position, version, appendEnd int64
	recordedAt                   int64 // in microseconds
	id                           uuid.UUID
	content                      uint64
	stream, kind                 int32
}

// stream is the events of a stream, as places in Log.events, in the order of the
// log.
type stream struct {
	name   string
	events []int32
}

type streamID struct {
	stream int32
	id     uuid.UUID
}

// NewLog returns a log without events. Identify returns what clients know an
// event by, unique in its stream; uuid.Nil: they do not know it by anything. Nil
// stands for the event's id.
func NewLog(identify func(*eventstore.RecordedEvent) uuid.UUID) *Log {
	if identify == nil {
		identify = func(e *eventstore.RecordedEvent) uuid.UUID { return e.ID }
	}
	return &Log{identify: identify, byName: make(map[string]int32), byType: make(map[string]int32), byID: make(map[streamID]int32)}
}

// ReadLog reads a whole log. A store that checks what it reads will not show
// some of the damage that the rules look for; better read the tables.
func ReadLog(ctx context.Context, r eventstore.Reader) (*Log, error) {
	l := NewLog(nil)
	for e, err := range r.ReadAll(ctx, eventstore.ReadOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		l.Add(e)
	}
	return l, nil
}

// Add puts an event behind those that are there. Its bytes are not kept.
func (l *Log) Add(e eventstore.RecordedEvent) {
	place := int32(len(l.events))
	s, ok := l.byName[e.Stream]
	if !ok {
		s = int32(len(l.streams))
		name := strings.Clone(e.Stream)
		l.streams = append(l.streams, stream{name: name})
		l.byName[name] = s
	}
	kind, ok := l.byType[e.Type]
	if !ok {
		kind = int32(len(l.types))
		name := strings.Clone(e.Type)
		l.types = append(l.types, name)
		l.byType[name] = kind
	}
	l.events = append(l.events, entry{
		position: e.Position, version: e.Version, appendEnd: e.AppendEnd, recordedAt: e.RecordedAt.UnixMicro(),
		id: e.ID, content: contentOf(&e.Event), stream: s, kind: kind,
	})
	l.streams[s].events = append(l.streams[s].events, place)
	key := streamID{s, l.identify(&e)}
	if key.id == uuid.Nil {
		return
	}
	if _, ok := l.byID[key]; ok {
		l.repeated = append(l.repeated, place)
		return
	}
	l.byID[key] = place
}

// Len returns the number of events.
func (l *Log) Len() int { return len(l.events) }

// Head returns the position of the last event, 0 if there is none.
func (l *Log) Head() int64 {
	if len(l.events) == 0 {
		return 0
	}
	return l.events[len(l.events)-1].position
}

// find returns the event that a client knows by an id.
func (l *Log) find(stream string, id uuid.UUID) (place int32, ok bool) {
	s, ok := l.byName[stream]
	if !ok {
		return 0, false
	}
	place, ok = l.byID[streamID{s, id}]
	return place, ok
}

// first returns the place of an append's first event, if that is stored.
func (l *Log) first(a *Append) (place int32, ok bool) {
	if len(a.IDs) == 0 {
		return 0, false
	}
	return l.find(a.Stream, a.IDs[0])
}

// at returns the place of a position, or of the first one behind it.
func (l *Log) at(position int64) (place int, ok bool) {
	if i := position - 1; i >= 0 && i < int64(len(l.events)) && l.events[i].position == position {
		return int(i), true
	}
	return slices.BinarySearchFunc(l.events, position, func(e entry, p int64) int { return cmp.Compare(e.position, p) })
}

// byStore reports whether an event was written by the store itself, not sent by
// a client.
func (l *Log) byStore(e *entry) bool { return strings.HasPrefix(l.types[e.kind], "$") }

// event names an event for messages.
func (l *Log) event(e *entry) string {
	return fmt.Sprintf("position %d (version %d of %q, %s, id %s)", e.position, e.version, l.streams[e.stream].name, l.types[e.kind], e.id)
}

// lost reports whether a restore took away what an earlier incarnation of the log had
// at a position.
func (l *Log) lost(incarnation, position int64) bool {
	return incarnation > 0 && slices.ContainsFunc(l.Restores, func(r Restore) bool {
		return r.Incarnation > incarnation && position > r.LastCommon
	})
}
