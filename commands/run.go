package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// run decides the command and carries the decision out. The caller has the
// stream's turn.
func (h *Handler[S, E]) run(ctx context.Context, r *request, c Command[S, E]) (outcome, error) {
	now, cached := h.cache.get(r.stream)
	_, created := c.(Creator)
	created = created && !cached && !r.DryRun
	for assumed := cached && !r.DryRun || created; ; assumed, created = false, false {
		if !assumed {
			var err error
			if now, err = h.reload(ctx, r.stream, now); err != nil {
				return h.unlessKnown(ctx, *r, err)
			}
		}
		d := decide(c, now, *r)
		failpoint.HitIn(ctx, failpoint.CommandDecided)
		switch {
		case assumed && len(d.events) == 0:
			// No append will tell whether the state is the latest.
		case d.unmet != nil:
			return h.unlessKnown(ctx, *r, d.unmet)
		default:
			o, err := h.carryOut(ctx, *r, now, d)
			switch {
			case !overtaken(err), !created && r.retries >= h.config.Retries:
				return o, err
			case !created: // else nobody overtook it, for nobody had looked yet
				r.retries++
			}
		}
	}
}

// overtaken reports whether an append met newer events than those decided from.
func overtaken(err error) bool { return errors.Is(err, eventstore.ErrConflict) }

// reload brings a known state up to date and caches it.
func (h *Handler[S, E]) reload(ctx context.Context, stream string, known versioned[S]) (versioned[S], error) {
	now, err := h.loader.refresh(ctx, stream, known)
	if err == nil {
		h.cache.put(stream, now)
	}
	return now, err
}

// decision is what becomes of a command in one state: at most one of the fields
// is set, and none if there is nothing to do.
type decision[E any] struct {
	events  []E
	refusal error
	unmet   error // Options.Expected is not met
}

func decide[S, E any](c Command[S, E], now versioned[S], r request) decision[E] {
	if !r.Expected.Accepts(now.version, false) {
		return decision[E]{unmet: &eventstore.ConflictError{Stream: r.stream, Expected: r.Expected, Actual: now.version}}
	}
	events, refusal := c.Decide(now.state)
	if refusal != nil {
		return decision[E]{refusal: refusal}
	}
	return decision[E]{events: events}
}

// carryOut appends the events or, if there are none, the receipt.
func (h *Handler[S, E]) carryOut(ctx context.Context, r request, now versioned[S], d decision[E]) (outcome, error) {
	events, next, err := h.prepare(r.stream, r.metadata, now, d.events)
	if err != nil {
		return outcome{}, err
	}
	appends := []eventstore.StreamAppend{{Stream: r.stream, Expected: eventstore.Exact(now.version), Events: events}}
	if !r.writes(d.refusal, appends...) {
		return h.answerOnly(ctx, r, appends, d.refusal)
	}
	o, err := h.append(ctx, r, appends, d.refusal)
	if err != nil || o.replayed {
		h.cache.remove(r.stream)
		return o, err
	}
	if len(events) > 0 {
		// The store counts: the versions of a stream that was deleted go on.
		next.version = o.appended[0].Version
		h.cache.put(r.stream, next)
	}
	return o, nil
}

// prepare encodes the events and returns the state after them. It evolves what
// a reader of the log will get, not the values that were decided, so that a
// cached state and a loaded one are the same.
func (h *Handler[S, E]) prepare(stream string, metadata []byte, now versioned[S], decided []E) ([]eventstore.Event, versioned[S], error) {
	events := make([]eventstore.Event, len(decided))
	for i, d := range decided {
		e, err := h.loader.codec.Encode(d)
		if err != nil {
			return nil, now, fmt.Errorf("event %d decided for stream %q: %w", i, stream, err)
		}
		e.Metadata = metadata
		events[i] = e
		now, err = h.loader.evolve(now, eventstore.RecordedEvent{Event: e, Stream: stream, Version: now.version + 1})
		if err != nil {
			return nil, now, fmt.Errorf("read back what was decided: %w", err)
		}
	}
	return events, now, nil
}
