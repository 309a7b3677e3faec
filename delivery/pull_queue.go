package delivery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

const (
	// pullTimeout bounds each look at the database.
	pullTimeout = 10 * time.Second
	// itemsAtOnce is how many tokens share a transaction, asksAtOnce how many events callers may get in one.
	itemsAtOnce = 5000
	asksAtOnce  = 5000
	// pullLinger is for how long a queue goes on that nobody uses: what was acknowledged is noted, the cursor moved.
	pullLinger = 3 * time.Second
	// pullReadOn is for how long it reads on for those whose time is over, who would get nothing of a log with few events that match.
	pullReadOn = time.Second
)

// errQueueGone says that the subscription of a queue was deleted.
var errQueueGone = errors.New("it was deleted")

// pullQueue is a subscription that is pulled as a process hands it out. What callers want, and say of what they have, waits until
// the transaction before has ended, and shares the next one. While anybody uses it, its loop runs.
type pullQueue struct {
	b    *Broker
	id   int64
	name string
	wake chan struct{}

	mu      sync.Mutex
	pulls   []*pullCall
	settles []*settleCall
	looping bool

	// These belong to the loop.
	rules      pullRules
	definition Definition
	revision   int64
	store      eventstore.Reader
	selector   *selector
	matches    func(*eventstore.RecordedEvent) bool
	feed       pullFeed
	// passed is up to where nothing more matches behind feed.Filled.
	passed int64
	// live counts rows that are not dead, as far as this process knows. Full: there are too many to read on.
	live     int
	full     bool
	evidence pullEvidence
	// delivered counts what is not noted yet.
	delivered int64
	sweptAt   time.Time
	// servedAt is when what is ready was looked for last.
	servedAt time.Time
	// away is why nothing is handed out; nil: it is.
	away error

	attempts attemptLog
	recent   pullEvents
}

// pullCall is a caller who waits for events.
type pullCall struct {
	ctx      context.Context
	options  PullOptions
	deadline time.Time
	// pullAnswered: it has its answer, or is about to: see done. pullLeft: the caller does not wait for it any more.
	state atomic.Int32
	done  chan struct{}
	// log and store are those of the rows.
	log   uuid.UUID
	store eventstore.Reader
	rows  []pulledRow
	err   error
	// Of the loop: asked: what was ready was looked for.
	asked bool
	ask   *pullAsk
}

const (
	pullWaits int32 = iota
	pullAnswered
	pullLeft
)

// settleCall is a caller who says something of events.
type settleCall struct {
	items []*pullItem
	done  chan struct{}
	err   error
}

func newPullQueue(b *Broker, s *found) (*pullQueue, error) {
	q := &pullQueue{b: b, id: s.id, name: s.definition.Name, wake: make(chan struct{}, 1)}
	return q, q.define(s.definition, s.revision)
}

// define lets it go by a definition.
func (q *pullQueue) define(d Definition, revision int64) (err error) {
	if q.selector, err = newSelector(&d); err != nil {
		return err
	}
	q.matches = q.selector.matcher()
	q.store = d.Source.reader(q.b.config.Pool, q.b.config.Schema, q.b.config.Store)
	q.rules = newPullRules(q.id, &d)
	q.definition, q.revision, q.passed = d, revision, 0
	q.recent.clear()
	return nil
}

// redefine lets it go by the definition that the subscription has now.
func (q *pullQueue) redefine(ctx context.Context) error {
	if !q.feed.Named || q.feed.Current == q.revision {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	d, err := q.b.records.definition(ctx, q.id, q.feed.Current)
	if err == nil {
		err = q.define(d, q.feed.Current)
	}
	q.passed = q.feed.Filled
	return err
}

// pull waits for events.
func (q *pullQueue) pull(ctx context.Context, o PullOptions) ([]Pulled, error) {
	call := &pullCall{ctx: ctx, options: o, deadline: time.Now().Add(o.Wait), done: make(chan struct{})}
	if err := q.enter(func() { q.pulls = append(q.pulls, call) }); err != nil {
		return nil, err
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		if call.state.CompareAndSwap(pullWaits, pullLeft) {
			return nil, context.Cause(ctx)
		}
		<-call.done
	}
	if call.err != nil {
		return nil, call.err
	}
	events, kept, err := q.events(ctx, call)
	if kept < len(call.rows) {
		q.release(call, kept)
	}
	return events, err
}

// settle says something of events.
func (q *pullQueue) settle(ctx context.Context, items []*pullItem) error {
	if len(items) == 0 {
		return nil
	}
	call := &settleCall{items: items, done: make(chan struct{})}
	if err := q.enter(func() { q.settles = append(q.settles, call) }); err != nil {
		return err
	}
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		return context.Cause(ctx) // it is done all the same, or not
	}
}

// enter adds a caller, and lets the loop run.
func (q *pullQueue) enter(add func()) error {
	b := q.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.soft.Err() != nil {
		return errBrokerStopped
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	add()
	if !q.looping {
		q.looping = true
		b.running.Go(q.loop)
	}
	background.Wake(q.wake)
	return nil
}

// release gives back what did not reach the caller, from an index on.
func (q *pullQueue) release(call *pullCall, from int) {
	var items []*pullItem
	for i := range call.rows[from:] {
		row := &call.rows[from+i]
		items = append(items, &pullItem{op: opRelease, token: pullToken{q.id, row.Position, row.Token}})
	}
	// Nobody waits for it; if it cannot be done the leases run out.
	_ = q.enter(func() { q.settles = append(q.settles, &settleCall{items: items, done: make(chan struct{})}) })
}

// fill reads on, and reports whether it has got further: what it found was handed out, or may be had.
func (q *pullQueue) fill(ctx context.Context, pulls []*pullCall) (again bool, err error) {
	head, err := q.head(ctx)
	if err != nil || head == nil || !q.feed.Running || q.full || head.Log != q.feed.Log || head.Incarnation != q.feed.Incarnation || head.Position <= q.passed {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	found, looked, err := readMatches(ctx, q.store, q.selector, q.matches, q.passed, head.Position)
	if err != nil {
		return false, err
	}
	if len(found) == 0 {
		q.passed = looked // which the next sweep notes
		return true, nil
	}
	pulls = unanswered(pulls)
	asks := q.asks(pulls)
	switch err := q.b.records.fill(ctx, &q.rules, &q.feed, found, looked, asks); {
	case errors.Is(err, errMoved):
		q.servedAt = time.Time{} // what the other has filled may be had
		return true, q.look(ctx)
	case err != nil:
		return false, err
	}
	q.recent.add(found)
	q.hand(pulls, asks)
	q.feed.Filled, q.feed.Revision, q.passed = looked, q.feed.Current, looked
	if q.rules.perKey > 1 {
		q.servedAt = time.Time{} // several of a key are handed out when they are there
	}
	if q.live += len(found); q.live >= q.definition.MaxParked {
		q.sweptAt = time.Time{} // which counts them
	}
	return true, nil
}
