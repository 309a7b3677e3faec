package projections

import (
	"context"
	"errors"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// apply applies events and moves the checkpoint to a place in the log behind them. If an event
// cannot be applied, all appends before its own are, and the error is an *eventError.
func (w *worker) apply(ctx context.Context, l *generationLease, events []eventstore.RecordedEvent, to eventstore.Token) error {
	err := w.commit(ctx, l, events, to)
	var at *eventError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &at):
		return w.applyBefore(ctx, l, events, to, at)
	case errors.Is(err, errTooManyBytes):
	case !isDataError(err) || len(events) == 0: // only the checkpoint was to move: no event is to blame
		return err
	case oneAppend(events):
		return w.findPoisonEvent(ctx, l, events, err)
	}
	// Too much at once, or the database did not say which event it was: halve until one append is
	// left.
	half := appendBoundary(events)
	if err := w.apply(ctx, l, events[:half], behind(events[:half], to)); err != nil {
		return err
	}
	return w.apply(ctx, l, events[half:], to)
}

// applyUpTo applies the events from the checkpoint up to a position, which is the end of an append.
func (w *worker) applyUpTo(ctx context.Context, l *generationLease, position int64) error {
	to := l.checkpoint.Token
	if to.Position >= position {
		return nil
	}
	var events []eventstore.RecordedEvent
	size, bytes := w.runner.config.BatchSize, 0
	options := eventstore.ReadOptions{After: to, PageSize: size, Filter: w.runner.knows.filter(w.runs.types())}
	for e, err := range w.runner.config.Store.ReadAll(ctx, options) {
		if err != nil {
			return err
		}
		if e.Position > position {
			break
		}
		if foreign, err := w.runner.knows.isForeign(ctx, &e); err != nil {
			return err
		} else if foreign {
			continue
		}
		bytes += e.Size()
		if n := len(events); n > 0 && (n >= size || bytes > eventstore.DefaultPageBytes) && events[n-1].AppendEnd != e.AppendEnd {
			if err := w.apply(ctx, l, events, behind(events, to)); err != nil {
				return err
			}
			events, bytes = nil, e.Size()
		}
		events = append(events, e)
	}
	to.Position = position
	return w.apply(ctx, l, events, to)
}

// applyBefore applies the appends before that of a bad event.
func (w *worker) applyBefore(ctx context.Context, l *generationLease, events []eventstore.RecordedEvent, to eventstore.Token, bad *eventError) error {
	good := 0
	for good < len(events) && events[good].AppendEnd != bad.event.AppendEnd {
		good++
	}
	if good > 0 {
		if err := w.apply(ctx, l, events[:good], behind(events[:good], to)); err != nil {
			return err
		}
	}
	return bad
}

// commit tries to apply events in one transaction.
func (w *worker) commit(ctx context.Context, l *generationLease, events []eventstore.RecordedEvent, to eventstore.Token) error {
	decoded, err := w.decode(l, events)
	if err != nil {
		return err
	}
	failpoint.HitIn(ctx, failpoint.ProjectRead)
	checkpoint := l.checkpoint.After(events, to)
	if err := w.runs.commit(ctx, w.runner.config.Pool, w.generation, decoded, l.move(checkpoint)); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ProjectCommitted)
	l.checkpoint = checkpoint
	w.counts.batches.Add(1)
	w.counts.events.Add(int64(len(events)))
	w.progress.set(true, to)
	return nil
}

// decode returns the values of events, but for those to skip.
func (w *worker) decode(l *generationLease, events []eventstore.RecordedEvent) ([]Decoded, error) {
	decoded := make([]Decoded, 0, len(events))
	for i := range events {
		e := &events[i]
		if l.skips[e.Position] {
			continue
		}
		value, err := decodeEvent(w.runner.config.Codec, e)
		if err != nil {
			return nil, &eventError{event: e, err: err}
		}
		decoded = append(decoded, Decoded{Event: e, Value: value})
	}
	return decoded, nil
}

// decodeEvent returns the value of an event. Upcasters and decoders are a user's functions, too.
func decodeEvent(codec *eventstore.Codec, e Recorded) (value any, err error) {
	defer recoverTo(&err)
	return codec.Decode(e.Event)
}

// findPoisonEvent finds the event of one append that the database refuses: the first events up to
// it are refused, those before it are not. Nothing is kept of the tries. If the events alone are
// not refused, it was moving the checkpoint, and the error is the cause as it is.
func (w *worker) findPoisonEvent(ctx context.Context, l *generationLease, events []eventstore.RecordedEvent, cause error) error {
	passes, fails := 0, len(events)+1
	for try := len(events); try > passes; try = (passes + fails) / 2 {
		err := w.probe(ctx, l, events[:try])
		switch {
		case err == nil:
			passes = try
		case isDataError(err):
			fails, cause = try, err
		default:
			return err
		}
	}
	if passes == len(events) {
		return cause
	}
	return &eventError{event: &events[fails-1], err: cause}
}

func (w *worker) probe(ctx context.Context, l *generationLease, events []eventstore.RecordedEvent) error {
	decoded, err := w.decode(l, events)
	if err != nil {
		return err
	}
	return w.runs.probe(ctx, w.runner.config.Pool, w.generation, decoded)
}

// behind returns the place in the log behind the last append of events, which need not be whole
// under a filter.
func behind(events []eventstore.RecordedEvent, log eventstore.Token) eventstore.Token {
	log.Position = events[len(events)-1].AppendEnd
	return log
}

// oneAppend reports whether all events, at least one, are of one append.
func oneAppend(events []eventstore.RecordedEvent) bool {
	return events[0].AppendEnd == events[len(events)-1].AppendEnd
}

// appendBoundary returns the place between two appends that is next to the middle of events, which
// are of more than one.
func appendBoundary(events []eventstore.RecordedEvent) int {
	within := func(i int) bool { return events[i-1].AppendEnd == events[i].AppendEnd }
	up := len(events) / 2
	for up < len(events) && within(up) {
		up++
	}
	if up < len(events) {
		return up
	}
	down := len(events) / 2
	for within(down) {
		down--
	}
	return down
}
