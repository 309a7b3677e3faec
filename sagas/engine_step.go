package sagas

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// Step does a step, or undoes it, that an event says has begun: the handler of the subscription for those. If it was done before, or is not
// to be done any more, nothing is done. Behind a command it goes on with those that follow.
func (e *Engine) Step(ctx context.Context, saga string, at *delivery.Event) error {
	value, err := e.config.Codec.Decode(at.RecordedEvent.Event)
	if err != nil {
		return err
	}
	var step string
	switch begun := value.(type) {
	case StepScheduled:
		step = begun.Step
	case CompensationScheduled:
		step = begun.Step
	default:
		return nil
	}
	id := strings.TrimPrefix(eventstore.StreamID(at.Stream), saga+"-")
	i, _, err := e.Load(ctx, saga, id)
	if err != nil {
		return err
	}
	for number := at.Version; ; {
		t := tried{Engine: e, saga: saga, id: id, step: step, number: number, at: at, attempt: at.Attempt}
		if number != at.Version {
			t.attempt = 1
		}
		next, err := t.do(ctx, i)
		if err != nil && number != at.Version {
			return nil // it has an event of its own
		}
		if err != nil || next == nil {
			return err
		}
		i = *next
		if step, number = e.nextCommand(saga, i, number); step == "" {
			return nil
		}
	}
}

// nextCommand returns a step that has begun behind a number, and is a command.
func (e *Engine) nextCommand(saga string, i Instance, behind int64) (step string, number int64) {
	s, err := e.of(saga, i)
	if err != nil {
		return "", 0
	}
	for _, one := range i.Steps {
		if one.Number <= behind || one.Status != Open && one.Status != Undoing {
			continue
		}
		if t := s.find(one.Name); t != nil {
			if a := t.action(one.Status == Undoing); a != nil && a.command != nil {
				return one.Name, one.Number
			}
		}
	}
	return "", 0
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
}

// do makes the attempt, and returns the instance as it is afterwards; nil: somebody else has it.
func (t tried) do(ctx context.Context, i Instance) (*Instance, error) {
	s, undoing, open := i.isAt(t.step, t.number)
	switch {
	case s.Status == Dropped && s.Number == t.number: // an attempt before a crash, or one that failed, may have done it
		return nil, t.end(ctx, Fail{t.step, t.number, CodeExhausted, "it was tried, and then nobody waited for it any more", true})
	case !open:
		return nil, nil
	}
	saga, err := t.of(t.saga, i)
	if err != nil {
		return nil, err
	}
	task := saga.find(t.step)
	if task == nil {
		return nil, t.end(ctx, Fail{t.step, t.number, CodeDefinition, "the definition has no such step", false})
	}
	a := task.action(undoing)
	switch {
	case a == nil:
		return nil, nil // it waits for others
	case a.command != nil:
		return t.command(ctx, a)
	}
	c := Call{Saga: t.saga, ID: t.id, Step: t.step, Key: t.key(s.Key), Attempt: t.attempt, Until: s.Until}
	if undoing {
		c.Undoes = t.key(s.DoneKey)
	}
	if !s.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, s.Until)
		defer cancel()
	}
	changes, err := a.call(ctx, c, i.DataOf(t.step))
	ctx = context.WithoutCancel(ctx)
	var fatal *fatalError
	switch {
	case err == nil && task.kind == kindAnswer && !undoing:
		return nil, nil // the answer comes later
	case err == nil:
		return nil, t.end(ctx, Complete{t.step, t.number, changes})
	case errors.As(err, &fatal):
		return nil, t.end(ctx, Fail{t.step, t.number, fatal.code, fatal.Error(), false})
	case t.attempt >= task.attempts.Max: // the last may have done it
		return nil, t.end(ctx, Fail{t.step, t.number, CodeExhausted, fmt.Sprintf("%d attempts failed, the last with: %v", t.attempt, err), true})
	}
	return nil, delivery.RetryAfter(err, task.attempts.Pause(t.attempt))
}

func (t tried) key(number int64) string {
	return instanceID(t.saga, t.id) + "/" + strconv.FormatInt(number, 10)
}

// end says what became of the step.
func (t tried) end(ctx context.Context, in Input) error {
	_, err := t.Do(ctx, t.saga, t.id, in, optionsFor(t.at))
	return err
}

// command runs a command: its events and what follows for the instance are there together, or nothing is. What comes between, such as a
// deadline that passes, comes first: then neither is.
func (t tried) command(ctx context.Context, a *action) (after *Instance, err error) {
	now := t.config.Now()
	_, err = t.config.Units.Handle(ctx, "saga-step", func(tx *commands.Unit) error {
		after = nil
		i, _ := t.config.Handler.Get(tx, instanceID(t.saga, t.id))
		if _, _, open := i.isAt(t.step, t.number); !open {
			return nil
		}
		c, err := a.command(i.DataOf(t.step))
		var in Input = Complete{t.step, t.number, nil}
		if err != nil {
			in = Fail{t.step, t.number, CodeDefinition, err.Error(), false}
		} else if err := tx.Try(func() error { return t.config.Decide(tx, c) }); err != nil {
			in = Fail{t.step, t.number, CodeRejected, err.Error(), false}
		}
		events, err := decision{t.Engine, t.saga, in, now}.Decide(i)
		if err != nil {
			return err
		}
		t.config.Handler.Put(tx, instanceID(t.saga, t.id), events...)
		for _, e := range events {
			i = e.Evolve(i)
		}
		after = &i
		return nil
	}, optionsFor(t.at))
	return after, unrefused(err)
}

// Fatal returns an error with which a call says that it fails for good, with a code of its own by which it is caught.
func Fatal(code string, err error) error { return &fatalError{err, code} }

type fatalError struct {
	error
	code string
}

func (e *fatalError) Unwrap() error { return e.error }
