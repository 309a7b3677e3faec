package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/operations"
)

// ReplayEventsOptions are the choices of Runner.ReplayEvents.
type ReplayEventsOptions struct {
	// Replay is what deliveries say that they are of. Required but for a dry run.
	Replay string
	// Filter is a pattern that events must match beside the subscription's. Default: none.
	Filter json.RawMessage
	// Rate bounds how many events are tried in a second. Default: 0, as many as can be. At least 0.001.
	Rate float64
	// Allow lets events come again to a target that refuses replays.
	Allow bool
	// DryRun counts what matches, and does nothing.
	DryRun bool
	// Reason is why, and is required but for a dry run. Actor is who, From where the events are from. They are kept in the audit.
	Reason, Actor, From string
	// Sent, if not nil, is called when all up to an event is delivered.
	Sent func(ReplayedEvents) error
}

// ErrNotDelivered is returned by ReplayEvents when the target has not taken an event for good.
var ErrNotDelivered = errors.New("the target did not take an event")

// ReplayedEvents is what ReplayEvents has done.
type ReplayedEvents struct {
	Subscription string `json:"subscription"`
	Replay       string `json:"replay,omitempty"`
	DryRun       bool   `json:"dry_run,omitempty"`
	// Matched counts the events that match, Delivered those that were delivered, up to Position.
	Matched   int64 `json:"matched"`
	Delivered int64 `json:"delivered"`
	Position  int64 `json:"position"`
	// Types has how many events of each type matched, in a dry run, and Refused why the target would refuse them.
	Types   map[string]int64 `json:"types,omitempty"`
	Refused string           `json:"refused,omitempty"`
}

// ReplayEvents hands events that are not read from the log, such as those of an archive, to the target of a subscription, whose cursors and rows stay as
// they are: those that match, one attempt after another, in the order in which they come. One that fails is tried again as the definition says, and
// all behind it wait: the first that fails for good ends it. So each event up to Position was delivered at least once, and none behind the last
// attempt was.
//
// The Runner need not have been started. Targets that take part in a transaction, and what is pulled, have no use for it.
//
// Errors: ErrNotFound, ErrReplaysRefused, ErrIsReplay, ErrNotDelivered; *InvalidError for a filter that is not right; operations.ErrInvalid for
// other options; that of the events.
func (r *Runner) ReplayEvents(ctx context.Context, name string, events iter.Seq2[Event, error], o ReplayEventsOptions) (ReplayedEvents, error) {
	done, err := r.replayEvents(ctx, name, events, o)
	if err != nil {
		return done, fmt.Errorf("replay events to subscription %q: %w", name, err)
	}
	return done, nil
}

func (r *Runner) replayEvents(ctx context.Context, name string, events iter.Seq2[Event, error], o ReplayEventsOptions) (ReplayedEvents, error) {
	done := ReplayedEvents{Subscription: name, Replay: o.Replay, DryRun: o.DryRun}
	switch {
	case o.Reason == "" && !o.DryRun:
		return done, operations.InvalidOption("reason", "must say why")
	case !(o.Rate == 0 || o.Rate >= 0.001 && o.Rate <= 1e6):
		return done, operations.InvalidOption("rate", "is %v events a second, it must be from 0.001 to 1000000, or 0 for as many as can be", o.Rate)
	}
	s, err := r.records.find(ctx, r.config.Pool, name, "")
	if err != nil {
		return done, err
	}
	as := Replay{Subscription: name, Filter: o.Filter}
	if err := as.check(s); err != nil {
		return done, err
	}
	if err := as.admit(s, o.Allow); err != nil && !o.DryRun {
		return done, err
	} else if err != nil {
		done.Refused = err.Error()
	}
	sel, err := newSelector(&s.definition)
	if err == nil {
		err = sel.narrow(as.Filter)
	}
	if err != nil {
		return done, err
	}
	if o.DryRun {
		return done, sel.count(&done, events)
	}
	to, err := r.newResender(ctx, &s.definition, &done, o)
	if err != nil {
		return done, err
	}
	defer to.close()
	err = r.records.inTx(ctx, func(tx pgx.Tx) error {
		return r.records.audit(ctx, tx, s, o.Actor, "replay", fmt.Sprintf("%s: from %s: %s", o.Replay, o.From, operations.SanitizeText(o.Reason)))
	})
	if err != nil {
		return done, err
	}
	return done, to.all(ctx, sel, events)
}

// count counts what matches.
func (s *selector) count(done *ReplayedEvents, events iter.Seq2[Event, error]) error {
	done.Types = make(map[string]int64)
	matches := s.matcher()
	for e, err := range events {
		if err != nil {
			return err
		}
		if matches(e.RecordedEvent) {
			done.Matched++
			done.Types[e.Type]++
		}
		done.Position = e.Position
	}
	return nil
}

// resender sends events to a target, one attempt after another.
type resender struct {
	*running
	batch Batch
	retry Retry
	pace  pace
	sent  func(ReplayedEvents) error
	done  *ReplayedEvents
	log   eventstore.Token
}

func (r *Runner) newResender(ctx context.Context, d *Definition, done *ReplayedEvents, o ReplayEventsOptions) (*resender, error) {
	log, err := r.config.Store.Head(ctx)
	if err != nil {
		return nil, err
	}
	s := &running{runner: r, definition: *d, subscription: d.Name, replay: o.Replay, timeout: defaultTimeout}
	if err := s.setTarget(); err != nil {
		return nil, err
	}
	if s.tx != nil {
		s.closeTarget()
		return nil, errors.New("its target takes part in the transaction that moves the cursor: it can have events of the log again, by a replay")
	}
	batch := d.Batch
	batch.MaxEvents = mostAtOnce(batch.MaxEvents, cmp.Or(o.Rate, 1e6))
	return &resender{running: s, batch: batch, retry: d.Retry, pace: pace{rate: o.Rate}, sent: o.Sent, done: done, log: eventstore.Token{Log: log.Log, Incarnation: log.Incarnation}}, nil
}

func (r *resender) close() { r.closeTarget() }

// all sends the events that match.
func (r *resender) all(ctx context.Context, sel *selector, events iter.Seq2[Event, error]) error {
	matches := sel.matcher()
	var batch []Event
	size := 0
	for e, err := range events {
		if err != nil {
			return err
		}
		if !matches(e.RecordedEvent) {
			continue
		}
		if len(batch) > 0 && (len(batch) >= r.batch.MaxEvents || size+e.Size() > r.batch.MaxBytes) {
			if err := r.send(ctx, batch); err != nil {
				return err
			}
			batch, size = batch[:0], 0
		}
		e.Key, e.Attempt, e.Replay = sel.keyOf(e.RecordedEvent), 1, r.replay
		batch, size = append(batch, e), size+e.Size()
	}
	return r.send(ctx, batch)
}

// send delivers the events of a batch.
func (r *resender) send(ctx context.Context, batch []Event) error {
	if len(batch) == 0 {
		return nil
	}
	whole, left := batch, slices.Clone(batch)
	backoff := background.Backoff{Shortest: time.Duration(r.retry.First), Longest: time.Duration(r.retry.Cap)}
	for failed := 0; len(left) > 0; {
		now := time.Now()
		if until, yes := r.pace.holds(now); yes && !background.Sleep(ctx, until.Sub(now)) {
			return context.Cause(ctx)
		}
		r.pace.began(time.Now(), len(left))
		err := r.attempt(ctx, left)
		if ctx.Err() != nil && err != nil {
			return context.Cause(ctx)
		}
		if left, err = undone(left, err); err == nil {
			continue
		}
		outcome, wait := OutcomeOf(err)
		switch outcome {
		case ThrottledOutcome, PostponedOutcome:
			wait = min(cmp.Or(wait, time.Second), time.Hour) // as subscriptions do
		case Transient:
			if failed++; failed >= r.retry.MaxAttempts {
				return fmt.Errorf("%w, that at position %d: %v", ErrNotDelivered, left[0].Position, err)
			}
			wait = max(wait, backoff.Next())
		default:
			return fmt.Errorf("%w, that at position %d: %v", ErrNotDelivered, left[0].Position, err)
		}
		for i := range left {
			left[i].Tried = true
			if outcome.Counted() {
				left[i].Attempt++
			}
		}
		if !background.Sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
	r.done.Matched += int64(len(whole))
	r.done.Delivered, r.done.Position = r.done.Matched, whole[len(whole)-1].Position
	if r.sent != nil {
		return r.sent(*r.done)
	}
	return nil
}

func (r *resender) attempt(ctx context.Context, events []Event) (err error) {
	defer recoverTo(&err)
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.target.Deliver(ctx, &Delivery{Subscription: r.subscription, Events: events, Log: r.log, Replay: r.replay})
}

// undone returns the events that an error says are not delivered, in order, and why the first of them is not.
func undone(events []Event, err error) ([]Event, error) {
	var partial *PartialError
	if err == nil || !errors.As(err, &partial) || len(partial.Failed) == 0 {
		if err == nil {
			return nil, nil
		}
		return events, err
	}
	failed := make(map[string]bool)
	var left []Event
	var first error
	for i, e := range events {
		if why := partial.Failed[i]; why != nil || failed[e.Key] {
			failed[e.Key] = true
			left, first = append(left, e), cmp.Or(first, why)
		}
	}
	return left, cmp.Or(first, err)
}
