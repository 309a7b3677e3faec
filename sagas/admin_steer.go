package sagas

import (
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// Steering is what is done with a saga as a whole: with its subscriptions.
type Steering string

const (
	// PauseAll lets no instance go on, or begin: nothing is handed over, no step is done, no time comes. What is under way ends.
	PauseAll Steering = "pause"
	// ResumeAll lets them go on. Deadlines that have passed meanwhile have passed.
	ResumeAll Steering = "resume"
	// RedriveAll lets dead letters be tried again: events that could not be handed over, steps that could not be tried.
	RedriveAll Steering = "redrive"
)

// Steerings returns all.
func Steerings() []Steering { return []Steering{PauseAll, ResumeAll, RedriveAll} }

// Steered is what was done with a saga.
type Steered struct {
	Saga string `json:"saga"`
	// ID is that of the instance that it was done with; empty: with all.
	ID   string   `json:"id,omitempty"`
	Done Steering `json:"done"`
	// Subscriptions are those that it was done with. Their audit has who did it, and why.
	Subscriptions []string `json:"subscriptions"`
	// Redriven is how many dead letters are tried again.
	Redriven int64 `json:"redriven,omitempty"`
}

// Steer does something with a saga as a whole on behalf of an operator, who says why.
//
// Errors: eventstore.ErrInvalid, eventstore.ErrNotSupported without a database, those of delivery.Admin.
func (a *Admin) Steer(ctx context.Context, saga string, do Steering, reason, actor string) (Steered, error) {
	return a.steer(ctx, saga, "", do, reason, actor)
}

// Redrive lets the steps of an instance that have become dead letters be tried again, on behalf of an operator, who says why. Events that could
// not be handed over are of no instance: those are for Steer.
//
// Errors: ErrNotFound, those of Steer.
func (a *Admin) Redrive(ctx context.Context, saga, id, reason, actor string) (Steered, error) {
	if len(a.config.Engine.sagas[saga]) == 0 {
		return Steered{}, a.config.Engine.unknown(saga)
	}
	_, version, err := a.config.Engine.Load(ctx, saga, id)
	switch {
	case err != nil:
		return Steered{}, err
	case version < 0:
		return Steered{}, fmt.Errorf("%w: %s of saga %q", ErrNotFound, id, saga)
	}
	return a.steer(ctx, saga, id, RedriveAll, reason, actor)
}

// steer is for an instance, if id is not empty.
func (a *Admin) steer(ctx context.Context, saga, id string, do Steering, reason, actor string) (Steered, error) {
	done := Steered{Saga: saga, ID: id, Done: do}
	subscriptions := a.config.Subscriptions
	switch {
	case reason == "" || len(reason) > maxReason:
		return done, &eventstore.InvalidError{Field: "reason", Reason: fmt.Sprintf("must say why, in at most %d bytes; it is kept", maxReason)}
	case len(a.config.Engine.sagas[saga]) == 0:
		return done, a.config.Engine.unknown(saga)
	case subscriptions == nil:
		return done, fmt.Errorf("%s saga %q: nothing is kept of who is to be told what: %w", do, saga, eventstore.ErrNotSupported)
	}
	names, letters := []string{TriggersName(saga), StepsName(saga)}, delivery.DeadOptions{All: true, Reason: reason, Actor: actor}
	if id != "" {
		names, letters.All, letters.Filter.Stream = names[1:], false, StreamOf(saga, id)
	}
	for _, name := range names {
		var err error
		if do == RedriveAll {
			var wished delivery.Wished
			wished, err = subscriptions.Redrive(ctx, name, letters)
			done.Redriven += wished.Count
		} else {
			err = subscriptions.SetPaused(ctx, name, do == PauseAll, reason, actor)
		}
		switch {
		case errors.Is(err, delivery.ErrNotFound) && name == TriggersName(saga): // somebody begins its instances
		case err != nil:
			return done, err
		default:
			done.Subscriptions = append(done.Subscriptions, name)
		}
	}
	return done, nil
}
