package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

// versioned is the state of a stream at a version. The zero state at version -1
// is that of a stream which does not exist or is deleted.
type versioned[S any] struct {
	state   S
	version int64
	// last is the last event in a state that was loaded.
	last place
}

func nothing[S any]() versioned[S] { return versioned[S]{version: -1} }

// loader folds streams into states.
type loader[S any, E Event[S]] struct {
	store   eventstore.Reader
	manager eventstore.StreamManager // nil: not supported
	codec   *eventstore.Codec
	// snapshots are what to begin with; nil: nothing.
	snapshots *snapshotReader[S]
	// until, if set, says that an event is behind the one to end with.
	until func(place, int64) bool
}

// errGap says that versions are missing: the stream was deleted, created again
// or truncated since the known state, or while it was read.
var errGap = errors.New("versions are missing")

// refresh returns the state that the store has now, starting from a known one.
func (l loader[S, E]) refresh(ctx context.Context, stream string, known versioned[S]) (versioned[S], error) {
	if known.version >= 0 {
		now, err := l.follow(ctx, stream, known, l.begin)
		if !isStale(err) {
			return now, err
		}
	}
	if l.snapshots == nil {
		return l.load(ctx, stream)
	}
	return l.resume(ctx, stream)
}

// isStale reports whether a state could not be brought up to date because
// events are missing, which says nothing about the stream.
func isStale(err error) bool { return errors.Is(err, errGap) || errors.Is(err, ErrTruncated) }

// load returns the state that the store has now, starting from nothing.
func (l loader[S, E]) load(ctx context.Context, stream string) (versioned[S], error) {
	// A stream that is deleted while it is read is read again. It takes a
	// damaged one to be so every time.
	for range 3 {
		now, err := l.follow(ctx, stream, nothing[S](), l.begin)
		if !errors.Is(err, errGap) {
			return now, err
		}
	}
	return nothing[S](), fmt.Errorf("load stream %q: %w: %w", stream, eventstore.ErrCorrupt, errGap)
}

// joinCheck checks that the first event read of a stream joins a known state: that
// it is the last one in it (known), or the one behind that.
type joinCheck[S any] func(ctx context.Context, stream string, state versioned[S], first eventstore.RecordedEvent) (known bool, err error)

// follow folds the events behind a known state into it. It reads the event of
// that state again: if this one is still to be seen then so is all that
// followed, since deletion and stream metadata hide the older events first.
func (l loader[S, E]) follow(ctx context.Context, stream string, known versioned[S], joins joinCheck[S]) (versioned[S], error) {
	now, begun := known, false
	for e, err := range l.store.ReadStream(ctx, stream, eventstore.ReadOptions{From: max(known.version, 0)}) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nothing[S](), nil
		}
		if err != nil {
			return now, fmt.Errorf("load stream %q: %w", stream, err)
		}
		if !begun {
			begun = true
			if isKnown, err := joins(ctx, stream, known, e); isKnown || err != nil {
				if err != nil {
					return now, err
				}
				continue
			}
		} else if e.Version != now.version+1 {
			return now, errGap
		}
		if l.until != nil && l.until(placeOf(e), e.Version) {
			break
		}
		if now, err = l.evolve(now, e); err != nil {
			return now, err
		}
	}
	if !begun {
		return now, &TruncatedError{Stream: stream, First: -1}
	}
	return now, nil
}

// begin is the check of a state that this process has folded, or of none: the
// fold of a stream may begin from nothing where its present life began.
func (l loader[S, E]) begin(ctx context.Context, stream string, state versioned[S], first eventstore.RecordedEvent) (known bool, err error) {
	switch {
	case first.Version == state.version:
		return true, nil
	case state.version >= 0:
		return false, errGap
	case first.Version == 0:
		return false, nil
	case l.manager == nil:
		return false, &TruncatedError{Stream: stream, First: first.Version}
	}
	info, err := l.manager.StreamInfo(ctx, stream)
	switch {
	case err != nil:
		return false, fmt.Errorf("load stream %q: %w", stream, err)
	case info.FirstVersion < first.Version:
		return false, &TruncatedError{Stream: stream, First: first.Version}
	case info.FirstVersion > first.Version:
		return false, errGap
	default:
		return false, nil
	}
}

// evolve returns the state after one more event.
func (l loader[S, E]) evolve(now versioned[S], e eventstore.RecordedEvent) (versioned[S], error) {
	v, err := l.codec.Decode(e.Event)
	if err != nil {
		return now, &EventError{Stream: e.Stream, Version: e.Version, Type: e.Type, SchemaVersion: e.SchemaVersion, Err: err}
	}
	event, ok := v.(E)
	if !ok {
		err := fmt.Errorf("%w: its Go type %T is no event of this aggregate; does it belong in another category?", eventstore.ErrUndecodable, v)
		return now, &EventError{Stream: e.Stream, Version: e.Version, Type: e.Type, SchemaVersion: e.SchemaVersion, Err: err}
	}
	return versioned[S]{state: event.Evolve(now.state), version: e.Version, last: placeOf(e)}, nil
}
