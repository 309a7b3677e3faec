package pgstore

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/57528e99/recount/eventstore"
)

// request is an append that waits for its verdict.
type request struct {
	appends []eventstore.StreamAppend
	receipt *eventstore.Receipt
	events  int
	bytes   int
	state   atomic.Int32
	// done takes the one outcome.
	done chan outcome
}

// outcome is what became of a request.
type outcome struct {
	appended []eventstore.Appended
	err      error
}

const (
	requestWaits int32 = iota
	requestTaken
	requestLeft
)

func newRequest(appends []eventstore.StreamAppend, receipt *eventstore.Receipt) *request {
	r := &request{appends: appends, receipt: receipt, done: make(chan outcome, 1)}
	for _, a := range appends {
		r.events += len(a.Events)
		for _, e := range a.Events {
			r.bytes += eventBytes + e.Size()
		}
	}
	if receipt != nil {
		r.bytes += len(receipt.Answer)
	}
	return r
}

// eventBytes is about what an event takes without its data: events without any
// must not fill the memory either.
const eventBytes = 256

// take claims the request for writing; false if its caller has left.
func (r *request) take() bool { return r.state.CompareAndSwap(requestWaits, requestTaken) }

// wait returns the outcome. A caller whose context ends before the request was
// taken leaves the queue; afterwards the write goes on without it, because a
// statement that is cancelled around COMMIT may have happened or not.
func (r *request) wait(ctx context.Context) ([]eventstore.Appended, error) {
	select {
	case o := <-r.done:
		return o.appended, o.err
	case <-ctx.Done():
	}
	if r.state.CompareAndSwap(requestWaits, requestLeft) {
		return nil, fmt.Errorf("append: nothing was written: %w", ctx.Err())
	}
	select {
	case o := <-r.done:
		return o.appended, o.err
	default:
		return nil, fmt.Errorf("append: %w: %w", eventstore.ErrOutcomeUnknown, ctx.Err())
	}
}

// queue holds the requests that wait for the appender, in the order of arrival.
type queue struct {
	maxAppends, maxBytes int
	batchEvents          int
	batchBytes           int

	mu      sync.Mutex
	waiting []*request
	bytes   int
	closed  bool
	// ready has room for one signal: there is something to take, or the queue
	// was closed.
	ready chan struct{}
}

func newQueue(cfg Config) *queue {
	return &queue{
		maxAppends: cfg.QueueAppends, maxBytes: cfg.QueueBytes,
		batchEvents: cfg.BatchEvents, batchBytes: cfg.BatchBytes,
		ready: make(chan struct{}, 1),
	}
}

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return eventstore.ErrClosed
	}
	if len(q.waiting) >= q.maxAppends || (len(q.waiting) > 0 && q.bytes+r.bytes > q.maxBytes) {
		return fmt.Errorf("%d appends with %d bytes wait: %w", len(q.waiting), q.bytes, eventstore.ErrOverloaded)
	}
	q.waiting = append(q.waiting, r)
	q.bytes += r.bytes
	q.signal()
	return nil
}

// size returns how many requests wait, and how many bytes they have.
func (q *queue) size() (appends, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.bytes
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// next waits for requests and takes as many as fit into a batch. It returns nil
// when the queue is closed and empty.
//
// Callers that were just answered, and come back at once, run first. Otherwise
// those that came during the last batch would be a batch, and those of the last
// batch the next, for ever: twice as many commits as are needed. It takes two
// rounds, one in which they are woken and one in which they run.
func (q *queue) next() []*request {
	runtime.Gosched()
	runtime.Gosched()
	for {
		if batch, closed := q.takeBatch(); len(batch) > 0 || closed {
			return batch
		}
		<-q.ready
	}
}

func (q *queue) takeBatch() (batch []*request, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, bytes, n := 0, 0, 0
	for _, r := range q.waiting {
		if len(batch) > 0 && (events+r.events > q.batchEvents || bytes+r.bytes > q.batchBytes) {
			break
		}
		n++
		q.bytes -= r.bytes
		if r.take() {
			batch = append(batch, r)
			events += r.events
			bytes += r.bytes
		}
	}
	clear(q.waiting[:n])
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
	}
	return batch, q.closed && len(q.waiting) == 0
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}
