package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// Step does a step, or undoes it, that an event says has begun: the handler of the subscription for those. If it was done before, or is not
// to be done any more, nothing is done.
func (e *Engine) Step(ctx context.Context, saga string, at *delivery.Event) error {
	id := strings.TrimPrefix(eventstore.StreamID(at.Stream), saga+"-")
	i, version := e.config.Handler.Cached(ctx, instanceID(saga, id))
	isKnown := version >= at.Version
	if isKnown && e.isIdle(saga, i, at.Version) {
		return nil
	}
	value, err := e.config.Codec.Decode(at.RecordedEvent.Event)
	if err != nil {
		return err
	}
	t := tried{Engine: e, saga: saga, id: id, number: at.Version, at: at, attempt: at.Attempt, again: at.Tried || at.Attempt > 1}
	switch begun := value.(type) {
	case StepScheduled:
		t.step = begun.Step
	case CompensationScheduled:
		t.step = begun.Step
	default:
		return nil
	}
	if !isKnown || t.again || time.Since(at.RecordedAt).Abs() > justNow {
		if i, _, err = e.Load(ctx, saga, id); err != nil {
			return err
		}
	}
	if failpoint.Enabled {
		s, _ := i.Step(t.step)
		ctx = failpoint.About(ctx, id, t.step, string(s.Status))
	}
	if err := failpoint.FailIn(ctx, failpoint.SagaStep); err != nil {
		return err
	}
	if err := t.do(ctx, i); err != nil {
		return err
	}
	return failpoint.FailIn(ctx, failpoint.SagaRecorded)
}

// justNow is for how long after a step has begun nobody looks what other processes may have done with the instance since: that may as well
// happen while the step is done.
const justNow = time.Second

// isIdle reports whether there is nothing to do for a step that was begun with a number, of an instance as it was then or later: it was done
// before, most often together with what it followed, or it waits for others.
func (e *Engine) isIdle(saga string, i Instance, number int64) bool {
	at := slices.IndexFunc(i.Steps, func(s Step) bool { return s.Number == number })
	if at < 0 {
		return true // it is being undone since
	}
	switch s := i.Steps[at]; s.Status {
	case Dropped:
		return false
	case Open, Undoing:
		definition, err := e.of(saga, i)
		if err != nil {
			return false
		}
		task := definition.find(s.Name)
		return task != nil && task.action(s.Status == Undoing) == nil
	}
	return true
}

func (t *task) action(undo bool) *action {
	if undo {
		return t.undo
	}
	return t.do
}

// tried is an attempt of a step.
type tried struct {
	*Engine
	saga, id, step string
	number         int64
	at             *delivery.Event
	attempt        int
	// again: there was an attempt before, which need not count.
	again bool
}

// do makes the attempt.
func (t tried) do(ctx context.Context, i Instance) error {
	s, undoing, open := i.isAt(t.step, t.number)
	switch {
	case s.Status == Dropped && s.Number == t.number: // an attempt before a crash, or one that failed, may have done it
		return t.end(ctx, Fail{t.step, t.number, CodeExhausted, "it was tried, and then nobody waited for it any more", true})
	case !open:
		return nil
	}
	saga, err := t.of(t.saga, i)
	if err != nil {
		return err
	}
	task := saga.find(t.step)
	if task == nil {
		return t.end(ctx, Fail{t.step, t.number, CodeDefinition, "the definition has no such step", false})
	}
	a := task.action(undoing)
	switch {
	case a == nil:
		return nil // it waits for others
	case a.command != nil:
		return t.command(ctx)
	}
	c := Call{Saga: t.saga, ID: t.id, Step: t.step, Key: KeyOf(t.saga, t.id, s.Key), Attempt: t.attempt, Until: s.Until, again: t.again}
	if undoing {
		c.Undoes = KeyOf(t.saga, t.id, s.DoneKey)
	}
	if !s.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, s.Until)
		defer cancel()
	}
	o := because(t.at.RecordedEvent, t.saga)
	o.Via += ", step " + t.step
	do, within := a.call, task.heartbeat
	if a.request != nil {
		within = 0 // nobody says that it is alive
		do = func(ctx context.Context, c Call, data map[string]json.RawMessage) (map[string]json.RawMessage, error) {
			return t.ask(ctx, a.request, c, data)
		}
	}
	ctx, stop := c.watch(ctx, within)
	changes, err := do(commands.WithCause(ctx, o), c, i.DataOf(t.step))
	if err == nil {
		err = failpoint.FailIn(ctx, failpoint.SagaCalled)
	}
	if stop(); err != nil && errors.Is(context.Cause(ctx), ErrNoHeartbeat) {
		err = fmt.Errorf("%w for %s: %w", ErrNoHeartbeat, task.heartbeat, err)
	}
	ctx = context.WithoutCancel(ctx)
	var fatal *fatalError
	outcome, pause := delivery.OutcomeOf(err)
	switch {
	case err == nil && task.kind == kindAnswer && !undoing:
		return nil // the answer comes later
	case err == nil:
		return t.end(ctx, Complete{t.step, t.number, changes})
	case errors.As(err, &fatal):
		return t.end(ctx, Fail{t.step, t.number, fatal.code, fatal.Error(), fatal.unknown})
	case outcome == delivery.ThrottledOutcome, outcome == delivery.PostponedOutcome: // this step alone waits, and this was none of its attempts
		if !s.Until.IsZero() {
			pause = min(pause, time.Until(s.Until)) // after that nobody waits for it
		}
		return delivery.Postponed(err, max(pause, task.attempts.First))
	case t.attempt >= task.attempts.Max: // the last may have done it
		return t.end(ctx, Fail{t.step, t.number, CodeExhausted, fmt.Sprintf("%d attempts failed, the last with: %v", t.attempt, err), true})
	}
	return delivery.RetryAfter(err, max(pause, task.attempts.Pause(t.attempt))) // of this step alone, whatever it says of its target
}

// ErrNoHeartbeat is why the context of a call ends that has not said for too long that it is alive.
var ErrNoHeartbeat = errors.New("the call has not said that it is alive")

// watch returns a context that ends when the call has not said for a time that it is alive; 0: it need not. Stop ends the watch.
func (c *Call) watch(ctx context.Context, within time.Duration) (_ context.Context, stop func()) {
	if within == 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(within, func() { cancel(ErrNoHeartbeat) })
	c.beat = func() { timer.Reset(within) }
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// end says what became of the step.
func (t tried) end(ctx context.Context, in Input) error {
	return t.advance(ctx, t.saga, t.id, in, because(t.at.RecordedEvent, t.saga))
}

// command runs a command: its events and what follows for the instance are there together, or nothing is. What comes between, such as a
// deadline that passes, comes first: then neither is.
func (t tried) command(ctx context.Context) error {
	err := t.together(ctx, t.saga, t.id, false, because(t.at.RecordedEvent, t.saga), func(u *turn) error {
		if _, _, open := u.i.isAt(t.step, t.number); !open {
			return nil
		}
		return u.command(t.step, t.number)
	})
	if errors.As(err, new(*eventstore.InvalidError)) { // its id is that of no stream, or its events are too large: no attempt changes that
		return t.end(ctx, Fail{t.step, t.number, CodeDefinition, err.Error(), false})
	}
	return err
}

// Fatal returns an error with which a call says that it fails for good, with a code of its own by which it is caught.
func Fatal(code string, err error) error { return &fatalError{err, code, false} }

type fatalError struct {
	error
	code string
	// unknown: it may have come about.
	unknown bool
}

// codeOf returns the code of an error that Fatal has made; else another one.
func codeOf(err error, otherwise string) string {
	if fatal := new(fatalError); errors.As(err, &fatal) {
		return fatal.code
	}
	return otherwise
}

func (e *fatalError) Unwrap() error { return e.error }
