package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/operations"
)

// Observation is what became of an attempt.
type Observation struct {
	Subscription string
	// Replay names the replay of it that the attempt is of; empty: it is of none.
	Replay    string
	Partition int
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
	// Failed are those of its events that failed for the first time, or are dead letters now.
	Failed []FailedEvent
}

// FailedEvent is an event that failed.
type FailedEvent struct {
	Event
	// Error is what is kept of the target's error for operators.
	Error string
	// Next is when it is tried again; zero: it is a dead letter.
	Next time.Time
}

// try makes an attempt, and begins the next. Nil: there is none now.
func (p *partition) try(a *core.Attempt) (next *core.Attempt) {
	if p.of.tx != nil {
		return p.tryInTx(a)
	}
	begun := a.Began
	d := p.delivery(a)
	err := p.ctx.Err()
	if err == nil {
		err = p.deliver(d)
	}
	results := p.of.resultsOf(len(a.Items), err)
	kind, now := a.Kind, time.Now()
	next = p.ended(now, a, results)
	p.record(d, kind, results, begun, now, err)
	return next
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
	d := &Delivery{Subscription: p.of.subscription, Partition: p.Partition, Epoch: p.Epoch, Replay: p.of.replay, Events: make([]Event, len(a.Items))}
	log := p.of.runner.log.Load()
	d.Log = eventstore.Token{Log: log.Log, Incarnation: log.Incarnation}
	for i := range a.Items {
		item := &a.Items[i]
		e, ok := item.Event.(*eventstore.RecordedEvent)
		if !ok {
			if e = p.reread(item.Position); e == nil {
				return d
			}
		}
		if isAlert(e) {
			p.of.takesAlerts.Store(true)
		}
		d.Events[i] = p.of.runner.newEvent(e, item, p.of.replay)
	}
	return d
}

var errNoReason = errors.New("it does not say which, or why")

// allDone is the result of attempts of which all is delivered. Nobody changes what is Done.
var allDone = []core.Result{{Outcome: core.Done}}

// resultsOf returns what an error of the target says of n events: of each, or one result for all.
func (s *running) resultsOf(n int, err error) []core.Result {
	if err == nil {
		return allDone
	}
	var partial *PartialError
	if !errors.As(err, &partial) {
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
	undecoded := new(decodeError)
	switch alone := outcome == Undecodable && s.isAlone(); {
	case alone && after > 0:
		r.Outcome = core.Postponed // it waits for a program that can
	case alone, errors.As(err, &undecoded) && outcome != Undecodable:
		r.Outcome = core.Unsendable
	}
	return r
}

// isAlone reports whether this process has found that no other can run what this subscription needs.
func (s *running) isAlone() bool {
	r := s.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	_, alone := r.alone[s.id]
	return alone
}

var coreOutcomes = [...]core.Outcome{
	Done: core.Done, Transient: core.Transient, PermanentFailure: core.Permanent, ThrottledOutcome: core.Throttled,
	GoneOutcome: core.Gone, StopOutcome: core.Stop, Undecodable: core.Undecodable, PostponedOutcome: core.Postponed,
}

// classOf returns the kind of an error in a word, for operators to sort by.
func classOf(err error) string {
	var response *ResponseError
	var untransformed *transform.FailedError
	var notFound *EnrichError
	switch {
	case errors.As(err, &notFound):
		return "enrich"
	case errors.As(err, &untransformed):
		return "transform"
	case errors.As(err, &response):
		return fmt.Sprintf("%s_%d", cmp.Or(response.Protocol, "http"), response.Status)
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
	var failed []FailedEvent
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
		if result.Outcome != core.Done {
			p.of.lastFailure.Store(result)
		}
		if result.First || result.Dead {
			failed = append(failed, FailedEvent{*e, result.Error, result.Next})
		}
		if result.Outcome != core.Done || p.of.definition.LogAttempts == LogAll {
			r.attemptLog.add(newAttempt(p.of.id, d, e, result, begun, took, err))
		}
	}
	r.counts.delivered.Add(int64(delivered))
	r.counts.failed.Add(int64(len(d.Events) - delivered))
	if r.config.Observe != nil {
		r.config.Observe(Observation{Subscription: p.of.subscription, Replay: p.of.replay, Partition: p.Partition, Events: len(d.Events), Delivered: delivered,
			Kind: kind.String(), Duration: took, Lag: max(now.Sub(oldest), 0), Err: err, Failed: failed})
	}
}

func newAttempt(subscription int64, d *Delivery, e *Event, r *core.Result, begun time.Time, took time.Duration, err error) attempt {
	a := attempt{
		Subscription: subscription, Position: e.Position, Attempt: e.Attempt, At: begun, Took: took, Outcome: r.Outcome.String(),
		Charged: r.Charged, Class: r.Class, Error: r.Error, Status: d.Exchange.Status, Answer: d.Exchange.Answer, Sent: d.Exchange.Sent,
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
