package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/operations"
)

// Observation is what became of an attempt.
type Observation struct {
	Subscription string
	Partition    int
	// Events is how many it had, Delivered how many of them were.
	Events, Delivered int
	// Kind is fresh, retry or probe.
	Kind string
	// Duration is how long it took.
	Duration time.Duration
	// Lag is how old its oldest event was when it ended.
	Lag time.Duration
	// Err is what the target returned; nil: all are delivered.
	Err error
}

// try makes an attempt.
func (p *partition) try(a *core.Attempt) {
	if p.of.tx != nil {
		p.tryInTx(a)
		return
	}
	begun := a.Began
	d := p.delivery(a)
	err := p.ctx.Err()
	if err == nil {
		err = p.deliver(d)
	}
	results := p.of.resultsOf(len(a.Items), err)
	kind, now := a.Kind, time.Now()
	p.ended(now, a, results)
	p.record(d, kind, results, begun, now, err)
}

// deliver calls the target, which has so much time.
func (p *partition) deliver(d *Delivery) (err error) {
	defer recoverTo(&err)
	if p.of.quick {
		return p.of.target.Deliver(p.ctx, d)
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.of.timeout)
	defer cancel()
	return p.of.target.Deliver(ctx, d)
}

// recoverTo makes an error of a panic of a target, which is about the event.
func recoverTo(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	}
}

// delivery returns what the target gets. It is not complete if the partition was lost meanwhile.
func (p *partition) delivery(a *core.Attempt) *Delivery {
	d := &Delivery{Subscription: p.of.name, Partition: p.Partition, Epoch: p.Epoch, Events: make([]Event, len(a.Items))}
	for i := range a.Items {
		item := &a.Items[i]
		e, ok := item.Event.(*eventstore.RecordedEvent)
		if !ok {
			if e = p.reread(item.Position); e == nil {
				return d
			}
		}
		d.Events[i] = p.of.runner.newEvent(e, item)
	}
	return d
}

// reread returns an event that is in memory no more. It tries for as long as the log cannot be read; nil: the partition was lost
// meanwhile.
func (p *partition) reread(position int64) *eventstore.RecordedEvent {
	backoff := background.Backoff{}
	for {
		e, err := p.rereads.event(p.ctx, p.of.runner.config.Store, position, p.mayHave)
		if err == nil {
			return e
		}
		if p.ctx.Err() != nil {
			return nil
		}
		pause := backoff.Next()
		p.of.runner.config.Logger.Warn().Err(err).Str("subscription", p.of.name).Int64("position", position).Dur("pause", pause).
			Msg("reading an event again was interrupted")
		background.Sleep(p.ctx, pause)
	}
}

// rereads has events that are in memory no more and are likely to be needed soon: rows of a key are tried in the order of
// the log, and those of others lie between them.
type rereads struct {
	mu   sync.Mutex
	kept map[int64]*eventstore.RecordedEvent
	// ahead is how many events are read at once; used counts those that were asked for since.
	ahead, used int
}

// maxAhead bounds how many events are read at once, maxKept how many are kept.
const (
	maxAhead = 1000
	maxKept  = 4000
)

// event returns the event at a position. Of those that are read with it, it keeps what mine says may be asked for.
func (r *rereads) event(ctx context.Context, store eventstore.Reader, position int64, mine func(*eventstore.RecordedEvent) bool) (*eventstore.RecordedEvent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.kept[position]; e != nil {
		r.used++
		delete(r.kept, position)
		return e, nil
	}
	// Rows that lie close together pay for a page; for others one reads a single event.
	switch {
	case r.used > r.ahead/64:
		r.ahead = min(2*r.ahead+2, maxAhead)
	default:
		r.ahead /= 2
	}
	r.used = 1
	if len(r.kept) > maxKept || r.kept == nil {
		r.kept = make(map[int64]*eventstore.RecordedEvent)
	}
	var found *eventstore.RecordedEvent
	for e, err := range store.ReadAll(ctx, eventstore.ReadOptions{From: position, Limit: int64(r.ahead + 1), PageSize: r.ahead + 1}) {
		switch {
		case err != nil:
			return nil, err
		case e.Position == position:
			found = &e
		case mine(&e):
			r.kept[e.Position] = &e
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: there is no event at position %d", eventstore.ErrCorrupt, position)
	}
	return found, nil
}

// mayHave reports whether the partition may have a row for an event.
func (p *partition) mayHave(e *eventstore.RecordedEvent) bool {
	s := p.of.source
	return (s.types == nil || slices.Contains(s.types, e.Type)) && s.partitionOf(s.keyOf(e)) == p.Partition
}

var errNoReason = errors.New("it does not say which, or why")

// resultsOf returns what an error of the target says of n events: of each, or one result for all.
func (s *running) resultsOf(n int, err error) []core.Result {
	var partial *PartialError
	if err == nil || !errors.As(err, &partial) {
		return []core.Result{s.resultOf(err)}
	}
	results := make([]core.Result, n)
	for i, failed := range partial.Failed {
		if i < 0 || i >= n || failed == nil {
			// Whoever counts wrongly does not say what is delivered.
			return []core.Result{s.resultOf(fmt.Errorf("the target says that event %d of a batch of %d failed, for %w", i, n, cmp.Or(failed, errNoReason)))}
		}
		results[i] = s.resultOf(failed)
	}
	if len(partial.Failed) == 0 {
		return []core.Result{s.resultOf(fmt.Errorf("the target says that some events failed: %w", errNoReason))}
	}
	return results
}

// resultOf returns what an error says of an event.
func (s *running) resultOf(err error) core.Result {
	if err == nil {
		return core.Result{}
	}
	outcome, after := OutcomeOf(err)
	r := core.Result{Outcome: coreOutcomes[outcome], After: after, Class: classOf(err), Error: operations.SanitizeText(operations.WithDetail(err))}
	if undecoded := new(decodeError); errors.As(err, &undecoded) && outcome != Undecodable || outcome == Undecodable && s.isAlone() {
		r.Outcome = core.Unsendable
	}
	return r
}

// isAlone reports whether this process has found that no other can run what this subscription needs.
func (s *running) isAlone() bool {
	r := s.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alone[s.definition.Target.needs()]
}

var coreOutcomes = [...]core.Outcome{
	Done: core.Done, Transient: core.Transient, PermanentFailure: core.Permanent, ThrottledOutcome: core.Throttled,
	GoneOutcome: core.Gone, StopOutcome: core.Stop, Undecodable: core.Undecodable,
}

// classOf returns the kind of an error in a word, for operators to sort by.
func classOf(err error) string {
	var response *ResponseError
	switch {
	case errors.As(err, &response):
		return fmt.Sprintf("http_%d", response.Status)
	case pgerr.Code(err) != "":
		return "sql_" + strings.ToLower(pgerr.Code(err))
	}
	if class := eventstore.ClassOf(err); class != eventstore.ClassInternal {
		return class.String()
	}
	return "error"
}

// record tells of an attempt that has ended, and keeps it for operators as the subscription wants.
func (p *partition) record(d *Delivery, kind core.Kind, results []core.Result, begun, now time.Time, err error) {
	r := p.of.runner
	took := now.Sub(begun)
	delivered := 0
	var oldest time.Time
	for i := range d.Events {
		e, result := &d.Events[i], &results[min(i, len(results)-1)]
		if e.RecordedEvent == nil { // it was lost before anybody was asked
			return
		}
		if result.Outcome == core.Done {
			delivered++
		}
		if oldest.IsZero() {
			oldest = e.RecordedAt
		}
		if result.Outcome != core.Done || p.of.definition.LogAttempts == LogAll {
			r.attemptLog.add(newAttempt(p.of.id, e, result, begun, took, err))
		}
	}
	r.counts.delivered.Add(int64(delivered))
	r.counts.failed.Add(int64(len(d.Events) - delivered))
	if r.config.Observe != nil {
		r.config.Observe(Observation{Subscription: p.of.name, Partition: p.Partition, Events: len(d.Events), Delivered: delivered,
			Kind: kind.String(), Duration: took, Lag: max(now.Sub(oldest), 0), Err: err})
	}
}

func newAttempt(subscription int64, e *Event, r *core.Result, begun time.Time, took time.Duration, err error) attempt {
	a := attempt{
		Subscription: subscription, Position: e.Position, Attempt: e.Attempt, At: begun, Took: took, Outcome: r.Outcome.String(),
		Charged: r.Charged, Class: r.Class, Error: r.Error,
	}
	var response *ResponseError
	if errors.As(err, &response) {
		a.Status, a.Answer = response.Status, response.Answer
	}
	return a
}

// attemptLog has attempts that are to be written down.
type attemptLog struct {
	mu   sync.Mutex
	list []attempt
}

// maxAttemptLog bounds it: while nothing can be written for long, the oldest are lost.
const maxAttemptLog = 50_000

func (l *attemptLog) add(a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= maxAttemptLog {
		l.list = append(l.list[:0], l.list[len(l.list)/2:]...)
	}
	l.list = append(l.list, a)
}

// take returns at most so many attempts, the oldest first.
func (l *attemptLog) take(limit int) []attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(limit, len(l.list))
	taken := l.list[:n:n]
	l.list = l.list[n:]
	return taken
}

func (l *attemptLog) putBack(list []attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(list, l.list...)
}
