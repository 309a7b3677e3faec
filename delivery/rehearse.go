package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/delivery/window"
	"github.com/57528e99/recount/eventstore"
)

// Rehearse hands the events of a log, from a position on, to the Handler of a subscription, or to another target if it has none: those that
// match, in order and one at a time. It returns the position behind the last that needs nothing more, to go on from. There
// are no partitions, cursors or retries; an error is that of the event at the position. Before are the attempts that the first has had. It is for
// tests, see package apptest.
func (s Subscription) Rehearse(ctx context.Context, codec *eventstore.Codec, log eventstore.Reader, from int64, before Attempts, other ...Target) (next int64, err error) {
	d, err := s.definition(codec).Checked()
	if err != nil {
		return from, err
	}
	var target Target
	switch {
	case d.Target.Window != nil:
		return from, rehearseWindows(ctx, d, log)
	case d.Source.Changes != nil, s.Handler != nil && s.Handler.transactional, s.Handler == nil && len(other) == 0:
		return from, fmt.Errorf("rehearse subscription %q: %w", d.Name, errNoRehearsal)
	case s.Handler != nil:
		target = s.Handler.target(codec)
	default:
		target = other[0]
	}
	if target, err = prepare(&d, target, lookups{}); err != nil {
		return from, err
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
		about := PatternEvent(&e)
		if sel.pattern == nil && !isSystem(&e) || sel.pattern != nil && sel.pattern.Explain(&about).Matched {
			event := Event{RecordedEvent: &e, MessageID: MessageID(at.Log, &e), Key: sel.keyOf(&e), Attempt: before.Counted + 1, Tried: before.Made > 0}
			if err := target.Deliver(ctx, &Delivery{Subscription: d.Name, Events: []Event{event}}); err != nil {
				return from, fmt.Errorf("subscription %s: event %s at position %d: %w", d.Name, e.Type, e.Position, err)
			}
			before = Attempts{}
		}
		from = e.Position + 1
	}
	return from, nil
}

// Attempts are those that an event has had: all, and those that count.
type Attempts struct{ Made, Counted int }

// rehearseWindows counts all events of the log in windows, as one partition, and appends what is not there of what closes by their times.
func rehearseWindows(ctx context.Context, d Definition, log eventstore.Reader) error {
	appender, ok := log.(eventstore.Appender)
	sel, err := newSelector(&d)
	if !ok || err != nil {
		return errors.Join(errNoRehearsal, err)
	}
	at, err := log.Head(ctx)
	if err != nil {
		return err
	}
	w := newWindowTarget(d, nil, appender)
	f := window.NewFold(&w.config, window.NoWatermark)
	var late []eventstore.StreamAppend
	for e, err := range log.ReadAll(ctx, eventstore.ReadOptions{From: 1}) {
		if err != nil {
			return err
		}
		about := PatternEvent(&e)
		if sel.pattern == nil && isSystem(&e) || sel.pattern != nil && !sel.pattern.Explain(&about).Matched {
			continue
		}
		one := &Delivery{Subscription: d.Name, Events: []Event{{RecordedEvent: &e, MessageID: MessageID(at.Log, &e), Key: sel.keyOf(&e)}}}
		seen, _, err := w.read(one)
		if err != nil {
			return fmt.Errorf("subscription %s: event %s at position %d: %w", d.Name, e.Type, e.Position, err)
		}
		for i := range seen {
			f.Add(&seen[i])
			for _, m := range f.Missed {
				late = append(late, w.missed(&one.Events[0], m))
			}
			f.Missed = nil
		}
	}
	f.CloseDue()
	_, err = w.append(ctx, nil, f.Closings, late)
	return err
}

// errNoRehearsal says what only a Runner can do.
var errNoRehearsal = errors.New("without a database there are only events of the log, for handlers that take no transaction, for mails, for windows and for what is gathered")
