package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// maxRounds bounds how often a unit is decided anew because it asks for further streams.
const maxRounds = 100

// UnitConfig says how Units work. All may be left out.
type UnitConfig struct {
	// Retries is how often one unit is decided again because others wrote to one
	// of its streams meanwhile, before the conflict is returned. Default: 10.
	// Negative: never.
	Retries int
	// Observe is told of every unit that was run, by many goroutines at once.
	// Default: nobody.
	Observe func(Observation)
}

// Units run units: decisions over several streams of one store, whose events are appended all or
// none. They take their turns on the streams in the queues of the handlers, so units and commands
// of a process do not make each other's appends conflict. Units are safe for concurrent use.
type Units struct {
	*writer
	config UnitConfig
}

// NewUnits returns what runs units on the streams of handlers of this store. The error matches
// eventstore.ErrNotSupported if the store cannot append to several streams at once.
func NewUnits(store eventstore.Store, c UnitConfig) (*Units, error) {
	if store == nil {
		return nil, errors.New("commands: NewUnits needs a store")
	}
	if _, ok := store.(eventstore.MultiStreamAppender); !ok || !store.Features().MultiStreamAppend {
		return nil, fmt.Errorf("commands: append to several streams at once: %w", eventstore.ErrNotSupported)
	}
	c.Retries = cmp.Or(c.Retries, 10)
	return &Units{writer: newWriter(store, "of unit", "", c.Observe), config: c}, nil
}

// Unit is a decision that runs. It is for the function that it was given to, and not for concurrent
// use.
type Unit struct {
	ctx     context.Context
	units   *Units
	request *request
	// parts are the streams that any decision of the unit has asked for, by name; asked are those
	// of the present one, in order.
	parts map[string]part
	asked []part
	// err is the first error of a call.
	err error
}

// part is a stream of a unit, whatever its aggregate.
type part interface {
	// enter waits for the stream's turn, tryEnter takes it if nobody has it.
	enter(context.Context) error
	tryEnter()
	leave()
	// isEntered reports whether the unit has the turn.
	isEntered() bool
	// reload takes up the state that the store has. The error is a *eventstore.ConflictError if it
	// is another than before.
	reload(context.Context) error
	// reset drops the events that were put.
	reset()
	// mark returns what drops the events that are put from now on.
	mark() func()
	// toAppend returns what the unit does to the stream. Without events it is a check.
	toAppend() eventstore.StreamAppend
	// appended caches the state that the append has led to.
	appended(eventstore.Appended)
	// forget drops the state: it is not known to be the latest.
	forget()
}

// Handle runs a unit: decide asks handlers of the store for the states that it needs, with
// Handler.Get, and puts events, with Handler.Put. Handle returns when all events are durable.
// Nothing is written if a stream that decide asked for has changed meanwhile, whether it put events
// there or not; it is then decided again. An error of decide refuses the unit, and what it put is
// ignored.
//
// Name says what kind of unit it is, such as "transfer"; errors and observations have it. Options
// are those of a command; Expected must be left out, since decide knows all versions.
//
// Decide may be called several times: if somebody else has the turn of a stream that it asks for, again with the turns of all
// streams that are known by then, in whose queues it enters in order of their names. It must be pure, like Command.Decide,
// but for its calls of the Unit, and must not call Handle.
//
// Errors are those of Handler.Handle. A *RejectedError names the stream that decide asked for
// first, or the unit if it asked for none.
func (u *Units) Handle(ctx context.Context, name string, decide func(*Unit) error, o Options) (Result, error) {
	if o.Expected != (eventstore.ExpectedVersion{}) && o.Expected != eventstore.Any {
		return Result{}, &eventstore.InvalidError{Field: "expected version", Reason: "must be left out: " + name + " rests on several streams"}
	}
	if err := eventstore.ValidateStream(name); err != nil {
		return Result{}, fmt.Errorf("name of a unit: %w", err)
	}
	return u.handle(ctx, name, o, func(r *request) (outcome, error) {
		tx := &Unit{ctx: ctx, units: u, request: r, parts: make(map[string]part)}
		for range maxRounds {
			o, isDone, err := tx.runExclusive(decide)
			if isDone {
				return o, err
			}
		}
		return outcome{}, fmt.Errorf("unit %s: decide asks for other streams each time it is called, so far for %d: it must be pure", name, len(tx.parts))
	})
}

// decide runs the decision from the states as they are known.
func (tx *Unit) decide(decide func(*Unit) error) (refusal error) {
	tx.asked = tx.asked[:0]
	return decide(tx)
}

// runExclusive runs the unit while nothing else of the handlers runs on the streams that it asks for. It waits for the turns of those
// that it has asked for before, and takes those of others as it asks for them. If somebody else has one of these, it is not done.
func (tx *Unit) runExclusive(decide func(*Unit) error) (o outcome, isDone bool, err error) {
	defer tx.leave() // also if decide or Evolve panics
	// In one order for all, so that no two units wait for each other.
	names := slices.Sorted(maps.Keys(tx.parts))
	for _, name := range names {
		if err := tx.parts[name].enter(tx.ctx); err != nil {
			return outcome{}, true, fmt.Errorf("wait for stream %q: %w", name, err)
		}
	}
	for {
		refusal := tx.decide(decide)
		switch {
		case tx.err != nil:
			o, err = tx.units.unlessKnown(tx.ctx, *tx.request, tx.err)
			return o, true, err
		case !tx.isEntered():
			return outcome{}, false, nil
		}
		failpoint.HitIn(tx.ctx, failpoint.CommandDecided)
		o, err = tx.carryOut(refusal)
		if !overtaken(err) || tx.request.retries >= tx.units.config.Retries {
			return o, true, err
		}
		tx.request.retries++
	}
}

// isEntered reports whether the unit has the turns of all streams.
func (tx *Unit) isEntered() bool {
	for _, p := range tx.parts {
		if !p.isEntered() {
			return false
		}
	}
	return true
}

// leave gives back the turns that the unit has.
func (tx *Unit) leave() {
	for _, p := range tx.parts {
		if p.isEntered() {
			p.leave()
		}
	}
}

// carryOut appends what was decided. The error is a conflict if a state was not the latest.
func (tx *Unit) carryOut(refusal error) (outcome, error) {
	appends := make([]eventstore.StreamAppend, len(tx.asked))
	for i, p := range tx.asked {
		if refusal != nil {
			p.reset()
		}
		appends[i] = p.toAppend()
	}
	if len(appends) == 0 {
		// The receipt of a unit that rests on no stream belongs to its name.
		appends = []eventstore.StreamAppend{{Stream: tx.request.stream, Expected: eventstore.Any}}
	}
	if !tx.request.writes(refusal, appends...) {
		// No append will tell whether the states are the latest, and of one time.
		if err := tx.reload(); err != nil {
			return outcome{}, err
		}
		return tx.units.answerOnly(tx.ctx, *tx.request, appends, refusal)
	}
	o, err := tx.units.append(tx.ctx, *tx.request, appends, refusal)
	for i, p := range tx.asked {
		if err != nil || o.replayed {
			p.forget()
		} else {
			p.appended(o.appended[i])
		}
	}
	return o, err
}

// reload takes up the states that the store has now. The error is a conflict if one is another than
// it was; else they are all of one time.
func (tx *Unit) reload() error {
	var moved error
	for _, p := range tx.asked {
		err := p.reload(tx.ctx)
		if err != nil && !overtaken(err) {
			return err
		}
		moved = cmp.Or(moved, err)
	}
	return moved
}

// Fail ends the unit with an error, whatever it decides.
func (tx *Unit) Fail(err error) { tx.err = cmp.Or(tx.err, err) }

// Try decides a part of the unit, such as a command whose refusal is not that of the unit. If f returns an error, which Try returns, what
// it has put is as if it had not been. What it has asked for must not change all the same.
func (tx *Unit) Try(f func() error) error {
	undo := make([]func(), len(tx.asked))
	for i, p := range tx.asked {
		undo[i] = p.mark()
	}
	err := f()
	if err != nil {
		for i, p := range tx.asked {
			if i < len(undo) {
				undo[i]()
			} else {
				p.reset()
			}
		}
	}
	return err
}
