package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// TypeNobodyPulls: an event of a subscription that is pulled waits, and nobody has asked for any for five minutes. It is told once, and again
// when somebody has asked since.
const TypeNobodyPulls = "$NobodyPulls"

const (
	// nobodyPulls is for how long nobody must have pulled, and an event have waited.
	nobodyPulls = 5 * time.Minute
	// waitsAmong is among how many events of the log it is looked for one that waits.
	waitsAmong = 10_000
)

// Whoever pulls sweeps. What is parked waits at its position, all else behind what was filled.
const unpulledSQL = `
SELECT s.id, s.name, s.definition, greatest(p.position, coalesce(p.filled, 0)), coalesce((
    SELECT r.position FROM {schema}.subscription_parked r
    WHERE r.subscription = s.id AND r.pulled AND r.state <> 'dead' ORDER BY r.position LIMIT 1), 0)
FROM {schema}.subscriptions s JOIN {schema}.subscription_partitions p ON p.subscription = s.id AND p.partition = 0
WHERE s.needs = 'pull' AND s.app = $1 AND s.name IS NOT NULL AND s.replay_of IS NULL AND s.desired = 'running' AND s.stopped_at IS NULL
AND s.updated_at <= now() - $2::interval AND (p.swept_at IS NULL OR p.swept_at <= now() - $2::interval)`

// unpulled is a subscription that nobody pulls.
type unpulled struct {
	id         int64
	name, text string
	// read is up to where its events were looked at, parked the first position of those that wait; 0: there is none.
	read, parked int64
}

// alertUnpulled tells of subscriptions that nobody has pulled for a time though an event waits, and keeps in told of which it has.
func (r *Runner) alertUnpulled(ctx context.Context, told map[int64]bool, after time.Duration) error {
	rows, err := r.records.pool.Query(ctx, r.records.sql(unpulledSQL), r.records.app, after)
	var all []unpulled
	if err == nil {
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (u unpulled, err error) {
			return u, row.Scan(&u.id, &u.name, &u.text, &u.read, &u.parked)
		})
	}
	if err != nil {
		return fmt.Errorf("look what nobody pulls: %w", err)
	}
	still := make(map[int64]bool)
	var failed []error
	for i := range all {
		u := &all[i]
		if told[u.id] {
			still[u.id] = true
			continue
		}
		e, err := r.waitsFor(ctx, u)
		if failed = append(failed, err); e == nil || time.Since(e.RecordedAt) < after {
			continue
		}
		still[u.id] = true
		r.alerts.add(u.name, TypeNobodyPulls, Alert{Count: 1, FirstPosition: e.Position, LastPosition: e.Position,
			Error: fmt.Sprintf("nobody has pulled for %s or longer, and the event at position %d waits since %s", after, e.Position, e.RecordedAt.UTC().Format(time.RFC3339))})
	}
	clear(told)
	for id := range still {
		told[id] = true
	}
	return errors.Join(failed...)
}

// waitsFor returns the first event that waits to be pulled; nil: there is none, as far as it looks, or it is about alerts.
func (r *Runner) waitsFor(ctx context.Context, u *unpulled) (first *eventstore.RecordedEvent, err error) {
	d, err := parseStored(u.text)
	if err != nil {
		return nil, nil // who can read it tells of it
	}
	sel, err := newSelector(&d)
	if err != nil || sel.namesAlerts() {
		return nil, nil
	}
	a := (&Admin{records: r.records, log: r.config.Store}).of(&d)
	if u.parked > 0 {
		e, err := a.eventFrom(ctx, u.parked)
		if err != nil {
			return nil, err
		}
		return &e, nil
	}
	matches, left := sel.matcher(), waitsAmong
	for e, err := range a.log.ReadAll(ctx, eventstore.ReadOptions{From: u.read + 1, PageSize: 1000}) {
		if left--; err != nil || left < 0 {
			return nil, err
		}
		if matches(&e) {
			return &e, nil
		}
	}
	return nil, nil
}
