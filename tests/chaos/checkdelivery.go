package chaos

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// The rules of delivery.
const (
	// RuleAccounted is violated by an event that matches and is neither delivered nor waits nor is dead, or is two of
	// these; and by one that does not match and is one.
	RuleAccounted logcheck.Rule = "what matches is delivered, pending or dead"
	// RuleKeyOrder is violated by an event that is delivered before one of its key that was there before it and matched all
	// the while, unless that may have been dead meanwhile: that it was is known nowhere if its owner, or the server,
	// ended before the move.
	RuleKeyOrder logcheck.Rule = "deliveries are in the order of their key"
	// RuleOnce is violated by a handler that takes the transaction and has its effect twice.
	RuleOnce logcheck.Rule = "effects in the transaction happen once"
	// RuleSettled is violated by a subscription that does not come to rest when nothing is broken any more.
	RuleSettled logcheck.Rule = "no key and no partition waits for ever"
	// RuleOutage is violated by many rows after a time in which the receiver was down.
	RuleOutage logcheck.Rule = "an outage parks little"
)

// due is an event that some subscription may match.
type due struct {
	message  uuid.UUID
	position int64
	stream   string
	amount   int64
}

func (l *storedLog) addDue(e *eventstore.RecordedEvent, amount int64) {
	if amount < subscriptions[widestSubscription].widest() {
		l.due = append(l.due, due{e.ID, e.Position, e.Stream, amount})
	}
}

// widestSubscription is the subscription that matches most.
var widestSubscription = func() (widest int) {
	for i := range subscriptions {
		if subscriptions[i].below > subscriptions[widest].below {
			widest = i
		}
	}
	return widest
}()

// delivered is an event as who it was delivered to knows it.
type delivered struct {
	order int64 // of the first time
	times int
	by    string // the epoch, if it is known
}

// checkDeliveries accounts for all events that subscriptions match.
func (r *run) checkDeliveries(ctx context.Context, conn *pgx.Conn, l *storedLog) error {
	if r.receiver == nil {
		return nil
	}
	var log uuid.UUID
	if err := conn.QueryRow(ctx, `SELECT log_id FROM recount.log_incarnations LIMIT 1`).Scan(&log); err != nil {
		return err
	}
	for i := range subscriptions {
		s := &subscriptions[i]
		var matching []due
		for _, d := range l.due {
			if d.amount < s.widest() {
				d.message = delivery.MessageID(log, &eventstore.RecordedEvent{Event: eventstore.Event{ID: d.message}, Stream: d.stream})
				matching = append(matching, d)
			}
		}
		got, err := r.deliveredTo(ctx, conn, s)
		if err != nil {
			return err
		}
		rows, err := rowsOf(ctx, conn, `SELECT r.position::text, r.state FROM recount.subscription_parked r
			JOIN recount.subscriptions s ON s.id = r.subscription WHERE s.name = '`+s.name+`'`)
		if err != nil {
			return err
		}
		r.check("deliveries of "+s.name, len(got), account(s, matching, got, rows, r.redriven[s.name], len(r.copies) > 0))
	}
	if len(r.copies) > 0 {
		return nil // of losses: nothing is broken there
	}
	r.outages.mu.Lock()
	defer r.outages.mu.Unlock()
	if len(r.plan) > 0 && r.outages.n > 0 {
		r.check("outages", r.outages.n, r.outages.found)
	}
	r.receiver.mu.Lock()
	defer r.receiver.mu.Unlock()
	for what, n := range r.receiver.answers {
		r.counts["answers of the receiver: "+what] = n
	}
	return nil
}

// deliveredTo returns what was delivered of a subscription.
func (r *run) deliveredTo(ctx context.Context, conn *pgx.Conn, s *subscribed) (map[uuid.UUID]delivered, error) {
	got := make(map[uuid.UUID]delivered)
	if s.sends {
		r.receiver.mu.Lock()
		defer r.receiver.mu.Unlock()
		for id, a := range r.receiver.acked[s.name] {
			got[id] = delivered{order: int64(a.order), times: 1, by: "epoch " + a.Epoch}
		}
		return got, nil
	}
	rows, err := conn.Query(ctx, `SELECT message_id, first, times FROM chaos.effects WHERE subscription = $1`, s.name)
	if err != nil {
		return nil, err
	}
	var id uuid.UUID
	var d delivered
	_, err = pgx.ForEachRow(rows, []any{&id, &d.order, &d.times}, func() error {
		got[id] = d
		return nil
	})
	return got, err
}

// account compares what a subscription matches with what was delivered and with its rows. Redriven are positions of dead
// letters that were tried again. If events were lost on purpose, some of those were delivered.
func account(s *subscribed, matching []due, got map[uuid.UUID]delivered, rows map[string][]byte, redriven map[int64]bool, lossy bool) (found []logcheck.Violation) {
	broken := func(rule logcheck.Rule, format string, args ...any) {
		found = append(found, logcheck.Violation{Rule: rule, Text: s.name + ": " + fmt.Sprintf(format, args...)})
	}
	known := make(map[uuid.UUID]bool, len(matching))
	streams := make(map[string][]due)
	left := make(map[string]bool, len(rows))
	for position := range rows {
		left[position] = true
	}
	for _, d := range matching {
		known[d.message] = true
		position := fmt.Sprint(d.position)
		delete(left, position)
		state, parked := rows[position]
		at, ok := got[d.message]
		switch {
		case ok && parked:
			broken(RuleAccounted, "the event at position %d is delivered (%s), and its row is %s", d.position, at.by, state)
		case !ok && !parked && d.amount < s.below:
			broken(RuleAccounted, "the event at position %d is neither delivered nor pending nor dead", d.position)
		}
		if ok && !s.sends && at.times != 1 {
			broken(RuleOnce, "the event at position %d has had its effect %d times", d.position, at.times)
		}
		died := redriven[d.position] || s.sends && refuses(d.message) != nil
		if ok && !died && d.amount < s.below {
			streams[d.stream] = append(streams[d.stream], d)
		}
	}
	for position := range left {
		broken(RuleAccounted, "there is a row for position %s, whose event does not match", position)
	}
	for id := range got {
		if !known[id] && !lossy {
			broken(RuleAccounted, "message %s is delivered, and its event is not there or does not match", id)
		}
	}
	for stream, events := range streams {
		slices.SortFunc(events, func(a, b due) int { return cmp.Compare(got[a.message].order, got[b.message].order) })
		for i := 1; i < len(events); i++ {
			if one, next := events[i-1], events[i]; next.position < one.position {
				broken(RuleKeyOrder, "of %s the event at position %d was delivered (%s) before that at %d (%s)",
					stream, one.position, got[one.message].by, next.position, got[next.message].by)
			}
		}
	}
	return found
}
