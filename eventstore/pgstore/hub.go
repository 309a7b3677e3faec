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

// appended makes events known that this process has committed. The slice is the
// hub's from then on; the bytes of the events may still be those of a caller.
func (h *hub) appended(events []eventstore.RecordedEvent) {
	if len(events) == 0 {
		return
	}
	ownBytes(events)
	h.mu.Lock()
	h.tail.add(events)
	h.advance(events[len(events)-1].Position)
	h.mu.Unlock()
	select {
	case h.notify <- struct{}{}:
	default:
	}
}

// reset forgets how far the log reached, and wakes all who wait for more of it.
func (h *hub) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.head, h.tail = 0, tail{}
	h.wake()
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
		h.wake()
	}
}

func (h *hub) wake() {
	close(h.moved)
	h.moved = make(chan struct{})
}

// state returns the known end of the log and a channel that is closed when it
// moves.
func (h *hub) state() (head int64, moved <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head, h.moved
}

// wait waits until the log is known to reach position, or over says that there
// is no point in it. It is ErrClosed when the store is closed.
func (h *hub) wait(ctx context.Context, position int64, closed <-chan struct{}, over func() bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		head, moved := h.state()
		if head >= position || over() {
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

// recent returns the events from a position on, if they are at hand: as many as
// a page holds, and never a part of an append. Head is the known end of the log, at or
// behind them.
func (h *hub) recent(from int64, page *sizer) (events []eventstore.RecordedEvent, head int64) {
	h.mu.Lock()
	runs, head := h.tail.from(from, page.limit), h.head
	h.mu.Unlock()
	return copyAppends(runs, page.limit, page.bytes), head
}
