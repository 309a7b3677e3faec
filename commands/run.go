package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// request is one command's way through the handler.
type request struct {
	Options
	stream   string
	metadata []byte
	// retries is how often it was decided again so far.
	retries int
}

func (h *Handler[S, E]) newRequest(id string, o Options) (request, error) {
	stream, err := h.stream(id)
	if err != nil {
		return request{}, err
	}
	if err := h.checkReceipt(stream, o.Receipt); err != nil {
		return request{}, err
	}
	metadata, err := o.metadata()
	return request{Options: o, stream: stream, metadata: metadata}, err
}

// run decides the command and carries the decision out. The caller has the
// stream's turn.
func (h *Handler[S, E]) run(ctx context.Context, r *request, c Command[S, E]) (Result, error) {
	now, cached := h.cache.get(r.stream)
	_, created := c.(Creator)
	created = created && !cached
	for assumed := cached || created; ; assumed, created = false, false {
		if !assumed {
			var err error
			if now, err = h.reload(ctx, r.stream, now); err != nil {
				return h.unlessKnown(ctx, *r, err)
			}
		}
		d := decide(c, now, *r)
		failpoint.Hit(failpoint.CommandDecided)
		switch {
		case assumed && len(d.events) == 0:
			// No append will tell whether the state is the latest.
		case d.unmet != nil:
			return h.unlessKnown(ctx, *r, d.unmet)
		default:
			result, err := h.carryOut(ctx, *r, now, d)
			switch {
			case !overtaken(err), !created && r.retries >= h.config.Retries:
				return result, err
			case !created: // else nobody overtook it, for nobody had looked yet
				r.retries++
			}
		}
	}
}

// overtaken reports whether an append met newer events than those decided from.
// A refusal is final, whatever it wraps.
func overtaken(err error) bool {
	return errors.Is(err, eventstore.ErrConflict) && !errors.Is(err, ErrRejected)
}

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

// unlessKnown answers a command that no append judged, because of err, with the outcome of its first
// run, if there was one: that may be what moved the stream, in another process or while it waited.
func (h *Handler[S, E]) unlessKnown(ctx context.Context, r request, err error) (Result, error) {
	if result, found, lookUp := h.replay(ctx, r.Receipt); found || lookUp != nil {
		return result, lookUp
	}
	return Result{}, err
}

// carryOut appends the events or, if there are none, the receipt.
func (h *Handler[S, E]) carryOut(ctx context.Context, r request, now versioned[S], d decision[E]) (Result, error) {
	events, next, err := h.prepare(r, now, d.events)
	if err != nil {
		return Result{}, err
	}
	receipt, answer, err := r.receipt(d.refusal)
	if err != nil {
		return Result{}, err
	}
	if len(events) == 0 && receipt == nil {
		return h.answerOnly(ctx, r, now, d.refusal)
	}
	appended, err := h.store.Append(ctx,
		eventstore.StreamAppend{Stream: r.stream, Expected: eventstore.Exact(now.version), Events: events},
		eventstore.AppendOptions{Receipt: receipt})
	if err != nil {
		h.cache.remove(r.stream)
		var known *eventstore.ReceiptKnownError
		isKnown := errors.As(err, &known)
		switch {
		case isKnown:
			return replayed(known.Stored)
		case errors.Is(err, eventstore.ErrReceiptMismatch):
			return Result{}, err
		}
		err = fmt.Errorf("append to stream %q: %w", r.stream, err)
		if errors.Is(err, eventstore.ErrUnavailable) {
			// What takes no appends may still be read.
			return h.unlessKnown(ctx, r, err)
		}
		return Result{}, err
	}
	failpoint.Hit(failpoint.CommandAppended)
	if len(events) > 0 {
		// The store counts: the versions of a stream that was deleted go on.
		next.version = appended.Version
		h.cache.put(r.stream, next)
	}
	return outcome{appended: appended, refusal: d.refusal, answer: answer}.report()
}

// prepare encodes the events and returns the state after them. It evolves what
// a reader of the log will get, not the values that were decided, so that a
// cached state and a loaded one are the same.
func (h *Handler[S, E]) prepare(r request, now versioned[S], decided []E) ([]eventstore.Event, versioned[S], error) {
	events := make([]eventstore.Event, len(decided))
	for i, d := range decided {
		e, err := h.loader.codec.Encode(d)
		if err != nil {
			return nil, now, fmt.Errorf("event %d decided for stream %q: %w", i, r.stream, err)
		}
		e.Metadata = r.metadata
		events[i] = e
		now, err = h.loader.evolve(now, eventstore.RecordedEvent{Event: e, Stream: r.stream, Version: now.version + 1})
		if err != nil {
			return nil, now, fmt.Errorf("read back what was decided: %w", err)
		}
	}
	return events, now, nil
}

// answerOnly answers a command that writes nothing at all.
func (h *Handler[S, E]) answerOnly(ctx context.Context, r request, now versioned[S], refusal error) (Result, error) {
	o := outcome{appended: eventstore.Appended{Stream: r.stream, Version: now.version}, refusal: refusal}
	if refusal == nil {
		head, err := h.store.Head(ctx)
		if err != nil {
			return Result{}, fmt.Errorf("read the head of the log: %w", err)
		}
		o.appended.Token = head
	}
	return o.report()
}
