package pgstore

import (
	"context"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// hub tells the subscriptions of this process how far the log reaches, and
// keeps its most recent events for them.
type hub struct {
	mu sync.Mutex
	// head is the highest position that is known to be committed.
	head int64
	// moved is closed, and replaced, when head moves.
	moved chan struct{}
	tail  tail
	// notify has room for one signal: this process appended.
	notify chan struct{}
}

func newHub() *hub {
	return &hub{moved: make(chan struct{}), notify: make(chan struct{}, 1)}
}

// appended makes events known that this process has committed.
func (h *hub) appended(events []eventstore.RecordedEvent) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	h.tail.add(events)
	h.advance(events[len(events)-1].Position)
	h.mu.Unlock()
	select {
	case h.notify <- struct{}{}:
	default:
	}
}

// reset forgets how far the log reached.
func (h *hub) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.head, h.tail = 0, tail{}
}

// seen makes a position known that was read from the database.
func (h *hub) seen(position int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.advance(position)
}

func (h *hub) advance(position int64) {
	if position > h.head {
		h.head = position
		close(h.moved)
		h.moved = make(chan struct{})
	}
}

// state returns the known end of the log and a channel that is closed when it
// moves.
func (h *hub) state() (head int64, moved <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head, h.moved
}

// wait waits until the log is known to reach position, or the store is closed.
func (h *hub) wait(ctx context.Context, position int64, closed <-chan struct{}) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		head, moved := h.state()
		if head >= position {
			return nil
		}
		select {
		case <-moved:
		case <-closed:
			return eventstore.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// recent returns the events from a position on, at most n of them and never a
// part of an append, if they are at hand.
func (h *hub) recent(from int64, n int) []eventstore.RecordedEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tail.from(from, n)
}

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
	if n := len(t.events); n > 0 && events[0].Position != t.events[n-1].Position+1 {
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
