package queries

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// asked returns the event that is asked for, or the first with the correlation id.
func (t *tracer) asked(ctx context.Context) (eventstore.RecordedEvent, error) {
	if t.Stream != "" {
		for e, err := range t.log.ReadStream(ctx, t.Stream, eventstore.ReadOptions{Limit: 1}) {
			if err != nil || t.shows(e.Stream) {
				return e, err
			}
		}
		return eventstore.RecordedEvent{}, fmt.Errorf("stream %q: %w", t.Stream, eventstore.ErrStreamNotFound)
	}
	if position, err := strconv.ParseInt(t.ID, 10, 64); err == nil && position > 0 && position <= t.head {
		for e, err := range t.log.ReadAll(ctx, eventstore.ReadOptions{From: position, Limit: 1}) {
			if err != nil || t.shows(e.Stream) {
				return e, err
			}
		}
	}
	id := parsed(t.ID)
	behind := t.head + 1 // all from here on was looked at
	var found *eventstore.RecordedEvent
	var err error
	isIt := func(e *eventstore.RecordedEvent) bool { return e.ID == id && t.shows(e.Stream) }
	isOf := func(e *eventstore.RecordedEvent) bool {
		return !t.eventOnly && metadataOf(e).CorrelationID == t.ID && t.shows(e.Stream)
	}
	if id.Version() == 7 {
		if behind, err = t.since(ctx, id, t.head); err == nil {
			found, err = t.look(ctx, eventstore.ReadOptions{From: behind}, func(e *eventstore.RecordedEvent) bool { return isIt(e) || isOf(e) })
		}
	}
	if found == nil && err == nil && behind > 1 {
		var first *eventstore.RecordedEvent // of the correlation id, as far as it goes
		found, err = t.look(ctx, eventstore.ReadOptions{From: behind - 1, Backwards: true}, func(e *eventstore.RecordedEvent) bool {
			if isOf(e) {
				first = e
			}
			return isIt(e)
		})
		found = cmp.Or(found, first)
	}
	if found == nil && err == nil {
		err = fmt.Errorf("%w: none of %d that were looked at has the id, or the correlation id, %s", ErrNoTrace, t.MaxScan-max(t.left, 0), t.ID)
	}
	if err != nil {
		return eventstore.RecordedEvent{}, err
	}
	return *found, nil
}

// since returns the position from which on an event is that has an id of version 7, in which the time is, of those up to a position.
func (t *tracer) since(ctx context.Context, id uuid.UUID, upTo int64) (int64, error) {
	return eventstore.FirstSince(ctx, t.log, time.Unix(id.Time().UnixTime()).Add(-clockSkew), upTo)
}

// root returns the event that an event comes from, from cause to cause.
func (t *tracer) root(ctx context.Context, e eventstore.RecordedEvent) (eventstore.RecordedEvent, error) {
	inMemory := 0
	for {
		t.way = append(t.way, e)
		if inMemory += len(e.Data); !t.Data || inMemory > traceBytes {
			t.way[len(t.way)-1].Data = nil
		}
		t.isLate = t.isLate || t.isTimeOver() // a way may be long, and of few events each
		cause, err := t.cause(ctx, &e)
		switch {
		case err != nil:
			return e, err
		case cause == nil:
			first, err := t.beginning(ctx, e)
			t.isRootUnknown = t.isRootUnknown || t.isOut()
			return first, err
		}
		e, t.isRootUnknown = *cause, false
	}
}

// cause returns the event that caused one; nil, if it is not found. It is close by, as a rule.
func (t *tracer) cause(ctx context.Context, e *eventstore.RecordedEvent) (found *eventstore.RecordedEvent, err error) {
	m := metadataOf(e)
	id := parsed(m.CausationID)
	if id == uuid.Nil || e.Position == 1 {
		return nil, nil
	}
	isCause := func(e *eventstore.RecordedEvent) bool { return e.ID == id && t.shows(e.Stream) }
	found, err = t.look(ctx, eventstore.ReadOptions{From: e.Position - 1, Backwards: true, Limit: nearBy}, isCause)
	upTo := e.Position - 1 - nearBy
	switch {
	case found != nil || err != nil || upTo < 1 || t.isOut():
		return found, err
	case id.Version() != 7:
		t.isRootUnknown = m.Via != "" && e.Position-1 > awayAtMost // unless it is found; without Via it is a request, as a rule
		return t.look(ctx, eventstore.ReadOptions{From: upTo, Backwards: true, Limit: awayAtMost - nearBy}, isCause)
	}
	from, err := t.since(ctx, id, upTo)
	if err != nil || from > upTo {
		return nil, err
	}
	return t.look(ctx, eventstore.ReadOptions{From: from, Limit: upTo - from + 1}, isCause)
}

// beginning returns the first event of the append that an event is of.
func (t *tracer) beginning(ctx context.Context, e eventstore.RecordedEvent) (eventstore.RecordedEvent, error) {
	if e.Position == 1 {
		return e, nil
	}
	_, err := t.look(ctx, eventstore.ReadOptions{From: e.Position - 1, Backwards: true}, func(before *eventstore.RecordedEvent) bool {
		if before.AppendEnd != e.AppendEnd {
			return true
		}
		if t.shows(before.Stream) {
			e = *before
		}
		return false
	})
	return e, err
}
