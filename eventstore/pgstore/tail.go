package pgstore

import (
	"slices"

	"github.com/57528e99/recount/eventstore"
)

const (
	tailEvents = 8192
	tailBytes  = 16 << 20
)

// run is what one transaction appended. It is never changed.
type run []eventstore.RecordedEvent

func (r run) end() int64 { return r[len(r)-1].Position }

func (r run) bytes() (n int) {
	for i := range r {
		n += r[i].Size()
	}
	return n
}

// tail is the last events of the log without gaps, bounded in number and bytes.
type tail struct {
	runs          []run
	events, bytes int
}

func (t *tail) add(r run) {
	if n := len(t.runs); n > 0 && r[0].Position != t.runs[n-1].end()+1 {
		// Another process appended in between.
		*t = tail{}
	}
	t.runs = append(t.runs, r)
	t.events, t.bytes = t.events+len(r), t.bytes+r.bytes()
	drop := 0
	for ; t.events > tailEvents || t.bytes > tailBytes; drop++ {
		first := t.runs[drop]
		t.events, t.bytes = t.events-len(first), t.bytes-first.bytes()
	}
	// Cleared, so that what was dropped can be collected before append makes
	// another array.
	clear(t.runs[:drop])
	t.runs = t.runs[drop:]
}

// from returns the runs from a position on, as many as hold about n events;
// nothing if the position lies before or behind the tail.
func (t *tail) from(position int64, n int) []run {
	if len(t.runs) == 0 || position < t.runs[0][0].Position {
		return nil
	}
	first, _ := slices.BinarySearchFunc(t.runs, position, func(r run, p int64) int { return int(r.end() - p) })
	if first == len(t.runs) {
		return nil
	}
	last := first
	for have := 0; have < n && last < len(t.runs); last++ {
		have += len(t.runs[last])
	}
	// Cloned, for add changes the slice of runs.
	runs := slices.Clone(t.runs[first:last])
	runs[0] = runs[0][max(position-runs[0][0].Position, 0):]
	return runs
}

// copyAppends returns the events of runs, about n of them with no more bytes than
// that, and never a part of an append. They are the caller's.
func copyAppends(runs []run, n, bytes int) []eventstore.RecordedEvent {
	if len(runs) == 0 {
		return nil
	}
	events := slices.Concat(runs...)
	whole, size := 0, 0
	for i := range events {
		if size += events[i].Size(); whole > 0 && size > bytes {
			break
		}
		if events[i].AppendEnd != events[i].Position {
			continue
		}
		if whole = i + 1; whole >= n {
			break
		}
	}
	events = events[:whole]
	ownBytes(events)
	return events
}

// ownBytes gives events bytes of their own, in one piece: callers of Append and
// readers own theirs, and may change them.
func ownBytes(events []eventstore.RecordedEvent) {
	buffer := make([]byte, 0, run(events).bytes())
	own := func(b []byte) []byte {
		start := len(buffer)
		buffer = append(buffer, b...)
		return buffer[start:len(buffer):len(buffer)]
	}
	for i := range events {
		events[i].Data, events[i].Metadata = own(events[i].Data), own(events[i].Metadata)
	}
}
