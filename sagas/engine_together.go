package sagas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
)

// mostTogether is how many commands are run in one append at most, besides what it is made for. Those behind have events of their own.
const mostTogether = 16

// turn is what is done with an instance, and with what its commands change, in one append.
type turn struct {
	*Engine
	tx       *commands.Unit
	saga, id string
	now      time.Time
	// i is the instance after what was put.
	i Instance
	// failed are the mistakes of the program that it met.
	failed []Mistake
}

// put gives the instance an input.
func (t *turn) put(in Input) error {
	events, err := decision{t.Engine, t.saga, in, t.now, nil}.Decide(t.i)
	if err != nil {
		return err
	}
	t.failed = append(t.failed, mistakesIn(t.saga, t.id, events)...)
	t.config.Handler.Put(t.tx, instanceID(t.saga, t.id), events...)
	t.i, _ = t.config.Handler.Get(t.tx, instanceID(t.saga, t.id))
	return nil
}

// command runs the command of a step that is open, or of what undoes it.
func (t *turn) command(step string, number int64) error {
	saga, err := t.of(t.saga, t.i)
	if err != nil {
		return err
	}
	_, undoing, _ := t.i.isAt(step, number)
	c, err := saga.find(step).action(undoing).command(t.i.DataOf(step))
	var in Input = Complete{step, number, nil}
	if err != nil {
		in = Fail{step, number, CodeDefinition, err.Error(), false}
	} else if err := t.tx.Try(func() error { return t.decide(c) }); err != nil {
		in = Fail{step, number, codeOf(err, CodeRejected), err.Error(), false}
	}
	return t.put(in)
}

// decide decides a command as part of the turn.
func (t *turn) decide(c Command) error {
	own, ok := c.Command.(appending)
	if !ok {
		return t.config.Decide(t.tx, c)
	}
	if own.err != nil {
		return Fatal(CodeDefinition, own.err)
	}
	t.tx.Append(own.stream, own.event)
	return nil
}

// next returns a step that has begun behind a number, and is a command; "": there is none.
func (t *turn) next(behind int64) (step string, number int64) {
	s, err := t.of(t.saga, t.i)
	if err != nil {
		return "", 0
	}
	for _, one := range t.i.Steps {
		if one.Number <= behind || one.Status != Open && one.Status != Undoing {
			continue
		}
		if task := s.find(one.Name); task != nil {
			if a := task.action(one.Status == Undoing); a != nil && a.command != nil {
				return one.Name, one.Number
			}
		}
	}
	return "", 0
}

// together begins a turn, and runs the commands that are to be run next because of it, and because of each other: one append for all of
// them, where each would wait for that of the one before. IsNew says that the instance has not begun, as a rule.
//
// What comes with it must not be why the first thing is not done: if it cannot be done with the others, it is done without.
func (e *Engine) together(ctx context.Context, saga, id string, isNew bool, o commands.Options, begin func(*turn) error) error {
	now, went := e.config.Now(), false // on, to the commands behind
	var t *turn
	handle := func(most int) (err error) {
		defer func() {
			if went && most > 0 {
				if r := recover(); r != nil { // who does that command by itself tells of it
					err = fmt.Errorf("panic: %v", r)
				}
			}
		}()
		_, err = e.config.Units.Handle(ctx, "saga-step", func(tx *commands.Unit) error {
			t = &turn{Engine: e, tx: tx, saga: saga, id: id, now: now}
			get := e.config.Handler.Get
			if isNew {
				get = e.config.Handler.GetNew
			}
			t.i, _ = get(tx, instanceID(saga, id))
			behind := t.i.Events - 1
			went = false
			if err := begin(t); err != nil {
				return err
			}
			for range most {
				step, number := t.next(behind)
				if step == "" {
					break
				}
				went = true
				if err := t.command(step, number); err != nil {
					return err
				}
			}
			return nil
		}, o)
		return unrefused(err)
	}
	err := handle(mostTogether)
	if err != nil && went && ctx.Err() == nil && !errors.Is(err, eventstore.ErrUnavailable) {
		err = handle(0)
	}
	if err == nil && t != nil {
		e.tell(t.failed)
	}
	return err
}

// advance gives an instance an input, and runs the commands that follow from it.
func (e *Engine) advance(ctx context.Context, saga, id string, in Input, o commands.Options) error {
	_, begins := in.(Begin)
	return e.together(ctx, saga, id, begins, o, func(t *turn) error { return t.put(in) })
}
