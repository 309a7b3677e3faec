package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/window"
	"github.com/57528e99/recount/eventstore"
)

// closedAtOnce bounds how many windows a transaction closes or forgets that no event of it is in: the rest is next.
const closedAtOnce = 1000

// atOnce bounds how many windows a transaction reads for its events, and how many it closes in all. For one event there are never so many.
const atOnce = 10_000

var errTooMuch = fmt.Errorf("the events are of more than %d windows, or close more, and are counted in halves", atOnce)

const (
	// Who has the row has the windows of the partition.
	lockWindowsSQL = `
INSERT INTO {schema}.window_partitions AS p (subscription, partition) VALUES ($1, $2)
ON CONFLICT (subscription, partition) DO UPDATE SET event_at = now(), ticked_at = now() RETURNING watermark`

	windowColumns = `w.key, w.start_at, w.end_at, w.closed, w.closings, w.events, w.late, w.position, w.state`

	windowsOfSQL = `
SELECT w.* FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS k (key, from_at, to_at, least)
CROSS JOIN LATERAL (SELECT ` + windowColumns + ` FROM {schema}.windows w
    WHERE w.subscription = $1 AND w.key = k.key AND w.start_at > k.least AND w.start_at < k.to_at AND w.end_at > k.from_at) AS w LIMIT $6`

	windowsDueSQL = `
SELECT ` + windowColumns + ` FROM {schema}.windows w
WHERE w.subscription = $1 AND w.partition = $2 AND w.due_at <= $3 ORDER BY w.due_at LIMIT $4`

	forgetWindowsSQL = `
DELETE FROM {schema}.windows w USING unnest($2::text[], $3::bigint[]) AS g (key, start_at)
WHERE w.subscription = $1 AND w.key = g.key AND w.start_at = g.start_at`

	keepWindowsSQL = `
INSERT INTO {schema}.windows AS w (subscription, partition, key, start_at, end_at, due_at, closed, closings, events, late, position, state)
SELECT $1::bigint, $2::integer, k.* FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::text[]) AS k
ON CONFLICT (subscription, key, start_at) DO UPDATE SET end_at = excluded.end_at, due_at = excluded.due_at, closed = excluded.closed,
    closings = excluded.closings, events = excluded.events, late = excluded.late, position = excluded.position, state = excluded.state`

	watermarkSQL = `
UPDATE {schema}.window_partitions SET watermark = $3, closed = closed + $4, late = late + $5, dropped = dropped + $6
WHERE subscription = $1 AND partition = $2`

	correctWindowsSQL = `
UPDATE {schema}.windows w SET closings = greatest(w.closings, n.closings) FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS n (key, start_at, closings)
WHERE w.subscription = $1 AND w.key = n.key AND w.start_at = n.start_at`

	resetWindowsSQL = `DELETE FROM {schema}.window_partitions WHERE subscription = $1`
)

// lockWindows waits for who counts in windows of a subscription: before the partitions are locked, as they do.
func (r *records) lockWindows(ctx context.Context, tx pgx.Tx, subscription int64) error {
	_, err := tx.Exec(ctx, r.sql(`SELECT FROM {schema}.window_partitions WHERE subscription = $1 ORDER BY partition FOR UPDATE`), subscription)
	return err
}

// fold counts events in the windows of a partition.
func (w *windowTarget) fold(ctx context.Context, tx Tx, partition int, events []window.Event, missed func(window.Missed) (eventstore.StreamAppend, error)) error {
	b := &pgx.Batch{}
	var watermark *int64
	b.Queue(w.records.sql(lockWindowsSQL), w.of, partition).QueryRow(func(row pgx.Row) error { return row.Scan(&watermark) })
	var kept []*window.Window
	b.Queue(w.records.sql(windowsOfSQL), append([]any{w.of}, w.reach(events)...)...).Query(func(rows pgx.Rows) (err error) {
		kept, err = w.scan(rows)
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	f := window.NewFold(&w.config, window.NoWatermark)
	if watermark != nil {
		f.Watermark = *watermark
	}
	if w.halves && len(kept) > atOnce {
		return errTooMuch
	}
	for _, one := range kept {
		f.Put(one)
	}
	for i := range events {
		f.Add(&events[i])
	}
	if _, err := w.closeDue(ctx, tx, partition, f, kept); err != nil {
		return err
	}
	var late []eventstore.StreamAppend
	for _, m := range f.Missed {
		one, err := missed(m)
		if err != nil {
			return err
		}
		late = append(late, one)
	}
	if w.halves && len(f.Closings) > atOnce {
		return errTooMuch
	}
	w.tell(tx, f, late)
	return nil
}

// reach returns which windows events may touch, for windowsOfSQL.
func (w *windowTarget) reach(events []window.Event) []any {
	type times struct{ first, last int64 }
	index := make(map[string]int)
	var keys []string
	var all []times
	for i := range events {
		e := &events[i]
		n, ok := index[e.Key]
		if !ok {
			n = len(keys)
			index[e.Key], keys, all = n, append(keys, e.Key), append(all, times{e.At, e.At})
		}
		all[n].first, all[n].last = min(all[n].first, e.At), max(all[n].last, e.At)
	}
	from, to, least := make([]int64, len(all)), make([]int64, len(all)), make([]int64, len(all))
	for i, t := range all {
		from[i], to[i], least[i] = w.config.Reach(t.first, t.last)
	}
	var most *int // all
	if w.halves {
		most = new(atOnce + 1)
	}
	return []any{keys, from, to, least, most}
}

// scan reads rows of windowColumns.
func (w *windowTarget) scan(rows pgx.Rows) (all []*window.Window, err error) {
	var one window.Window
	var state string
	_, err = pgx.ForEachRow(rows, []any{&one.Key, &one.Start, &one.End, &one.Closed, &one.Closings, &one.Events, &one.Late, &one.Position, &state}, func() error {
		kept := one
		if err := kept.SetState(&w.config, []byte(state)); err != nil {
			return Stop(fmt.Errorf("%w; reset the subscription to where it began", err))
		}
		all = append(all, &kept)
		return nil
	})
	return all, err
}

// closeDue closes the windows whose time has come, of all keys, and writes what has changed. More reports whether there may be others.
func (w *windowTarget) closeDue(ctx context.Context, tx Tx, partition int, f *window.Fold, here []*window.Window) (more bool, err error) {
	type id struct {
		key   string
		start int64
	}
	known := make(map[id]bool, len(here))
	for _, one := range here {
		known[id{one.Key, one.Start}] = true
	}
	rows, err := tx.Query(ctx, w.records.sql(windowsDueSQL), w.of, partition, f.Watermark, closedAtOnce+len(here))
	if err != nil {
		return false, err
	}
	due, err := w.scan(rows)
	if err != nil {
		return false, err
	}
	for _, one := range due {
		if !known[id{one.Key, one.Start}] {
			f.Put(one)
		}
	}
	f.CloseDue()
	put, gone := f.Changed()
	b := &pgx.Batch{}
	if len(gone) > 0 {
		keys, starts := make([]string, len(gone)), make([]int64, len(gone))
		for i, one := range gone {
			keys[i], starts[i] = one.Key, one.Start
		}
		b.Queue(w.records.sql(forgetWindowsSQL), w.of, keys, starts)
	}
	if len(put) > 0 {
		b.Queue(w.records.sql(keepWindowsSQL), w.columns(partition, put)...)
	}
	b.Queue(w.records.sql(watermarkSQL), w.of, partition, f.Watermark, len(f.Closings), f.Late, f.Dropped)
	return len(due) == closedAtOnce+len(here), tx.SendBatch(ctx, b).Close()
}

// columns turns windows into the parameters of keepWindowsSQL.
func (w *windowTarget) columns(partition int, all []*window.Window) []any {
	n := len(all)
	keys, states, closed := make([]string, n), make([]string, n), make([]bool, n)
	start, end, due, closings := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	events, late, position := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, one := range all {
		keys[i], states[i], closed[i] = one.Key, string(one.State()), one.Closed
		start[i], end[i], due[i], closings[i] = one.Start, one.End, one.DueAt(&w.config), int64(one.Closings)
		events[i], late[i], position[i] = one.Events, one.Late, one.Position
	}
	return []any{w.of, partition, keys, start, end, due, closed, closings, events, late, position, states}
}

// correct sets which revision of windows is the next.
func (w *windowTarget) correct(ctx context.Context, tx pgx.Tx, next map[*window.Window]int) error {
	if len(next) == 0 || tx == nil {
		return nil
	}
	var keys []string
	var start, closings []int64
	for one, n := range next {
		keys, start, closings = append(keys, one.Key), append(start, one.Start), append(closings, int64(n))
	}
	_, err := tx.Exec(ctx, w.records.sql(correctWindowsSQL), w.of, keys, start, closings)
	return err
}

const (
	lockIdleSQL = `
SELECT watermark, extract(epoch FROM now() - event_at)::float8, (extract(epoch FROM now() - ticked_at) * 1000000)::bigint
FROM {schema}.window_partitions WHERE subscription = $1 AND partition = $2 FOR UPDATE`

	tickSQL = `UPDATE {schema}.window_partitions SET ticked_at = now() WHERE subscription = $1 AND partition = $2`

	nextDueSQL = `SELECT min(due_at) FROM {schema}.windows WHERE subscription = $1 AND partition = $2`
)

// idle implements idler: as nothing comes the time goes on with the clock.
func (w *windowTarget) idle(ctx context.Context, tx Tx, partition int) (time.Duration, error) {
	var watermark *int64
	var since float64
	var ticked int64
	err := tx.QueryRow(ctx, w.records.sql(lockIdleSQL), w.of, partition).Scan(&watermark, &since, &ticked)
	switch {
	case isNoRows(err), err == nil && watermark == nil:
		return 0, nil
	case err != nil:
		return 0, err
	}
	silent := time.Duration(since * float64(time.Second))
	f := window.NewFold(&w.config, *watermark)
	if silent >= w.idleAfter() {
		f.Advance(*watermark + ticked)
		if _, err := tx.Exec(ctx, w.records.sql(tickSQL), w.of, partition); err != nil {
			return 0, err
		}
	}
	more, err := w.closeDue(ctx, tx, partition, f, nil)
	if err != nil {
		return 0, err
	}
	w.tell(tx, f, nil)
	if more {
		return time.Millisecond, nil
	}
	var due *int64
	if err := tx.QueryRow(ctx, w.records.sql(nextDueSQL), w.of, partition).Scan(&due); err != nil || due == nil {
		return 0, err
	}
	until := time.Duration(min(*due-f.Watermark, time.Hour.Microseconds())) * time.Microsecond
	if silent < w.idleAfter() { // its clock goes on then, from when the last event came
		until = max(w.idleAfter(), until) - silent
	}
	return until + time.Millisecond, nil
}
