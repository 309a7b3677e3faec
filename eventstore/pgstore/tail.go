package pgstore

import (
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

const (
	tailEvents = 8192
	tailBytes  = 16 << 20
)

// tail is a run of the last events without gaps, bounded in number and bytes.
type tail struct {
	events []eventstore.RecordedEvent
	bytes  int
}

func (t *tail) add(events []eventstore.RecordedEvent) {
	if n := len(t.events); n > 0 && events[0].Position != t.events[n-1].Position+1 && !failpoint.Planted(failpoint.TailAcross) {
		// Another process appended in between.
		t.events, t.bytes = nil, 0
	}
	t.events = append(t.events, copyEvents(events)...)
	for _, e := range events {
		t.bytes += len(e.Data) + len(e.Metadata)
	}
	drop := 0
	for len(t.events)-drop > tailEvents || t.bytes > tailBytes {
		t.bytes -= len(t.events[drop].Data) + len(t.events[drop].Metadata)
		drop++
	}
	// Cleared, so that what was dropped can be collected before append makes
	// another array.
	clear(t.events[:drop])
	t.events = t.events[drop:]
}

// copyEvents gives events bytes of their own, in one piece: callers of Append
// and readers own theirs, and may change them.
func copyEvents(events []eventstore.RecordedEvent) []eventstore.RecordedEvent {
	size := 0
	for _, e := range events {
		size += len(e.Data) + len(e.Metadata)
	}
	buffer := make([]byte, 0, size)
	own := func(b []byte) []byte {
		start := len(buffer)
		buffer = append(buffer, b...)
		return buffer[start:len(buffer):len(buffer)]
	}
	copied := make([]eventstore.RecordedEvent, len(events))
	for i, e := range events {
		e.Data, e.Metadata = own(e.Data), own(e.Metadata)
		copied[i] = e
	}
	return copied
}

func (t *tail) from(position int64, n int) []eventstore.RecordedEvent {
	if len(t.events) == 0 || position < t.events[0].Position {
		return nil
	}
	i := position - t.events[0].Position
	if i >= int64(len(t.events)) {
		return nil
	}
	events := t.events[i:]
	if len(events) > n {
		end := events[n-1].AppendEnd - position + 1
		events = events[:min(end, int64(len(events)))]
	}
	return copyEvents(events)
}
