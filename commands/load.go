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
}

func nothing[S any]() versioned[S] { return versioned[S]{version: -1} }

// loader folds streams into states.
type loader[S any, E Event[S]] struct {
	store   eventstore.Reader
	manager eventstore.StreamManager // nil: not supported
	codec   *eventstore.Codec
}

// errGap says that versions are missing: the stream was deleted, created again
// or truncated since the known state, or while it was read.
var errGap = errors.New("versions are missing")

// refresh returns the state that the store has now, starting from a known one.
func (l loader[S, E]) refresh(ctx context.Context, stream string, known versioned[S]) (versioned[S], error) {
	if known.version >= 0 {
		now, err := l.follow(ctx, stream, known)
		if !errors.Is(err, errGap) {
			return now, err
		}
	}
	return l.load(ctx, stream)
}

// load returns the state that the store has now, starting from nothing.
func (l loader[S, E]) load(ctx context.Context, stream string) (versioned[S], error) {
	// A stream that is deleted while it is read is read again. It takes a
	// damaged one to be so every time.
	for range 3 {
		now, err := l.follow(ctx, stream, nothing[S]())
		if !errors.Is(err, errGap) {
			return now, err
		}
	}
	return nothing[S](), fmt.Errorf("load stream %q: %w: %w", stream, eventstore.ErrCorrupt, errGap)
}

// follow folds the events behind a known state into it. It reads the event of
// that state again: if this one is still to be seen then so is all that
// followed, since deletion and stream metadata hide the older events first.
func (l loader[S, E]) follow(ctx context.Context, stream string, known versioned[S]) (versioned[S], error) {
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
			if e.Version == known.version {
				continue
			}
			if err := l.begin(ctx, stream, known, e.Version); err != nil {
				return now, err
			}
		} else if e.Version != now.version+1 {
			return now, errGap
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

// begin checks that the fold of a stream may begin with the given version: from
// nothing, where the stream's present life began.
func (l loader[S, E]) begin(ctx context.Context, stream string, known versioned[S], first int64) error {
	switch {
	case known.version >= 0:
		return errGap
	case first == 0:
		return nil
	case l.manager == nil:
		return &TruncatedError{Stream: stream, First: first}
	}
	info, err := l.manager.StreamInfo(ctx, stream)
	switch {
	case err != nil:
		return fmt.Errorf("load stream %q: %w", stream, err)
	case info.FirstVersion < first:
		return &TruncatedError{Stream: stream, First: first}
	case info.FirstVersion > first:
		return errGap
	default:
		return nil
	}
}

// evolve returns the state after one more event.
func (l loader[S, E]) evolve(now versioned[S], e eventstore.RecordedEvent) (versioned[S], error) {
	v, err := l.codec.Decode(e.Event)
	if err != nil {
		return now, &EventError{Stream: e.Stream, Version: e.Version, Type: e.Type, Err: err}
	}
	event, ok := v.(E)
	if !ok {
		err := fmt.Errorf("its Go type %T is no event of this aggregate; does it belong in another category?", v)
		return now, &EventError{Stream: e.Stream, Version: e.Version, Type: e.Type, Err: err}
	}
	return versioned[S]{state: event.Evolve(now.state), version: e.Version}, nil
}
