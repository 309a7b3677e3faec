package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

// Rehearse hands the events of a log, from a position on, to the Handler of a subscription, or to another target if it has none: those that
// match, in order and one at a time. It returns the position behind the last that needs nothing more, to go on from. There
// are no partitions, cursors or retries; an error is that of the event at the position. Attempt is that of the first, from 1. It is for
// tests, see package apptest.
func (s Subscription) Rehearse(ctx context.Context, codec *eventstore.Codec, log eventstore.Reader, from int64, attempt int, other ...Target) (next int64, err error) {
	d, err := s.definition(codec).Checked()
	if err != nil {
		return from, err
	}
	var target Target
	switch {
	case d.Source.Changes != nil, s.Handler != nil && s.Handler.transactional, s.Handler == nil && len(other) == 0:
		return from, fmt.Errorf("rehearse subscription %q: %w", d.Name, errNoRehearsal)
	case s.Handler != nil:
		target = s.Handler.target(codec)
	default:
		target = other[0]
	}
	sel, err := newSelector(&d)
	if err != nil {
		return from, err
	}
	at, err := log.Head(ctx)
	if err != nil {
		return from, err
	}
	for e, err := range log.ReadAll(ctx, eventstore.ReadOptions{From: max(from, 1)}) {
		if err != nil {
			return from, err
		}
		about := aboutEvent(&e)
		if sel.pattern == nil && !isSystem(&e) || sel.pattern != nil && sel.pattern.Explain(&about).Matched {
			event := Event{RecordedEvent: &e, MessageID: MessageID(at.Log, &e), Key: sel.keyOf(&e), Attempt: attempt}
			if err := target.Deliver(ctx, &Delivery{Subscription: d.Name, Events: []Event{event}}); err != nil {
				return from, fmt.Errorf("subscription %s: event %s at position %d: %w", d.Name, e.Type, e.Position, err)
			}
			attempt = 1
		}
		from = e.Position + 1
	}
	return from, nil
}

// errNoRehearsal says what only a Runner can do.
var errNoRehearsal = errors.New("without a database there are only events of the log, for handlers that take no transaction, for mails and for what is gathered")
