package delivery

import (
	"context"
	"fmt"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
)

// countReset counts the events that a reset repeats and skips.
func (a *Admin) countReset(ctx context.Context, s *found, all []lockedPartition, r *Reset) error {
	sel, err := newSelector(&s.definition)
	if err != nil {
		return err
	}
	var repeated, skipped int64
	from, to := min(r.Lowest, r.Position)+1, max(r.Highest, r.Position, all[0].filled)
	err = a.eachMatch(ctx, sel, from, to, func(e *eventstore.RecordedEvent) {
		q := &all[core.PartitionOf(sel.keyOf(e), len(all))]
		cursor := q.position
		switch {
		case e.Position <= max(cursor, q.filled) && e.Position > r.Position:
			repeated++
		case e.Position > cursor && e.Position <= r.Position:
			skipped++
		}
	})
	r.Repeated, r.Skipped = &repeated, &skipped
	return err
}

// eachMatch calls do with the events of a range that a subscription wants.
func (a *Admin) eachMatch(ctx context.Context, sel *selector, from, to int64, do func(*eventstore.RecordedEvent)) error {
	if from > to {
		return nil
	}
	o := eventstore.ReadOptions{From: from, PageSize: 5000}
	if sel.pattern != nil {
		o.Filter = eventstore.Filter{Types: sel.pattern.Types(), Categories: sel.pattern.Categories()}
	}
	matches := sel.matcher()
	for e, err := range a.log.ReadAll(ctx, o) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if e.Position > to {
			return nil
		}
		if matches(&e) {
			do(&e)
		}
	}
	return nil
}

// matcher returns what tells whether the subscription wants an event, for many events.
func (s *selector) matcher() func(*eventstore.RecordedEvent) bool {
	matches := func(e *eventstore.RecordedEvent) bool { return !isSystem(e) }
	if s.pattern != nil {
		matches = matcherOf(s.pattern)
	}
	if s.also == nil {
		return matches
	}
	also := matcherOf(s.also)
	return func(e *eventstore.RecordedEvent) bool { return matches(e) && also(e) }
}

// matcherOf returns what tells whether an event matches a pattern. It may be called from several goroutines at once.
func matcherOf(p *pattern.Pattern) func(*eventstore.RecordedEvent) bool {
	m := &pattern.Matcher[bool]{}
	m.Add(true, p)
	return func(e *eventstore.RecordedEvent) bool {
		about := PatternEvent(e)
		var room [1]bool
		return len(m.Match(&about, room[:0])) > 0
	}
}
