package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// pullSweepInterval is how often rows are looked at that are due, by whichever process comes first; all of them are after
	// pullSweepAll. In between those are that became due since the last time, and a little before it: the index is full of
	// entries of rows that are gone.
	pullSweepInterval = time.Second
	pullSweepAll      = time.Minute
	// dueAtOnce is how many rows are swept in a transaction.
	dueAtOnce = 2000
	// maxLease is how long a lease may be, maxDelay how long an event may be put off. Times beyond are of a clock that was
	// set back since.
	maxLease = 15 * time.Minute
	maxDelay = 24 * time.Hour
)

const (
	// Whoever has the feed at hand sweeps, or fills: the next look is soon.
	sweepFeedSQL = `
SELECT p.swept_at, p.swept_at IS NULL OR NOT p.swept_at BETWEEN now() - $2::interval AND now(),
       p.swept_all_at IS NULL OR NOT p.swept_all_at BETWEEN now() - $3::interval AND now()
FROM {schema}.subscription_partitions p WHERE p.subscription = $1 AND p.partition = 0 FOR NO KEY UPDATE SKIP LOCKED`

	duePulledSQL = `
SELECT ` + pulledColumns + `
FROM {schema}.subscription_parked r
WHERE r.subscription = $1 AND r.pulled AND r.state IN ('waiting', 'leased') AND r.next_attempt_at <= now() AND r.next_attempt_at > $2
ORDER BY r.position LIMIT $3 FOR UPDATE SKIP LOCKED`

	// Of a clock that was set back.
	strayPulledSQL = `
SELECT ` + pulledColumns + `
FROM {schema}.subscription_parked r
WHERE r.subscription = $1 AND r.pulled AND r.state IN ('waiting', 'leased') AND r.next_attempt_at > now() + $2::interval
AND (r.state = 'leased' OR r.next_attempt_at > now() + $3::interval)
ORDER BY r.position LIMIT $4 FOR UPDATE SKIP LOCKED`

	// What a caller has of the same keys behind them.
	lockBehindSQL = `
SELECT ` + pulledColumns + `
FROM {schema}.subscription_parked r
WHERE r.subscription = $1 AND r.ordinal = 0 AND r.state = 'leased' AND r.position = ANY (ARRAY(
    SELECT other.position
    FROM unnest($2::text[], $3::bigint[]) AS k (key, position)
    CROSS JOIN LATERAL (
        SELECT o.position FROM {schema}.subscription_parked o
        WHERE o.subscription = $1 AND o.pulled AND o.key = k.key AND o.state <> 'dead' AND o.state = 'leased'
        AND o.position > k.position OFFSET 0) AS other))
ORDER BY r.position FOR UPDATE`

	// The cursor is read when the rows are as they are now.
	sweptSQL = `
UPDATE {schema}.subscription_partitions p
SET swept_at = CASE WHEN $2 THEN now() ELSE swept_at END, swept_all_at = CASE WHEN $3 = 'now' THEN now() WHEN $3 = '' THEN swept_all_at END,
    filled = $4, revision = $10, position = greatest(p.position, coalesce((
        SELECT r.position FROM {schema}.subscription_parked r
        WHERE r.subscription = $1 AND r.position > p.position AND r.state <> 'dead' ORDER BY r.position LIMIT 1) - 1, $4)),
    delivered = delivered + $5, acked_key = $6, acked_at = $7, acked_other_at = $8, trouble = $9,
    trouble_at = CASE WHEN $9::text IS NULL THEN NULL WHEN $9 = trouble THEN trouble_at ELSE now() END
WHERE p.subscription = $1 AND p.partition = 0`

	livePulledSQL = `
SELECT count(*) FROM (
    SELECT FROM {schema}.subscription_parked r
    WHERE r.subscription = $1 AND r.position > $2 AND r.state <> 'dead' LIMIT $3) AS live`
)

// pullNotes are what a process tells about its callers, at most once a second.
type pullNotes struct {
	// Delivered counts events that were acknowledged since the notes before.
	Delivered int64
	Evidence  pullEvidence
	// Feed is the feed as it was when nothing more was found up to Passed, which is behind its Filled.
	Feed   pullFeed
	Passed int64
	// Every is how often rows are looked at that are due, at most.
	Every time.Duration
	// MaxLive is how many rows there may be that are not dead.
	MaxLive int
}

// swept is what a sweep has found.
type swept struct {
	// noted: the notes were taken. The feed was at somebody's hand else.
	noted bool
	feed  pullFeed
	// freed: there may be rows that are ready now.
	freed bool
	// live counts rows that are not dead, up to what there may be.
	live int
	// expired are items of leases that ran out, for those who keep attempts.
	expired []*pullItem
	more    bool
}

// sweepPulled looks at rows that are due if nobody has for a second: those that wait take their place in line again, and so do
// those whose lease has run out, unless they failed too often. It moves the cursor and takes notes.
func (r *records) sweepPulled(ctx context.Context, rules *pullRules, notes *pullNotes) (s swept, err error) {
	err = retryOnLocks(func() error {
		s = swept{}
		return r.onConn(ctx, func(c *pgxpool.Conn) error { return r.sweepOn(ctx, c, rules, notes, &s) })
	})
	return s, err
}

func (r *records) sweepOn(ctx context.Context, c *pgxpool.Conn, rules *pullRules, notes *pullNotes, s *swept) error {
	b := beginBatch()
	var last *time.Time
	var due, all, home bool
	b.Queue(r.sql(sweepFeedSQL), rules.id, notes.Every*9/10, pullSweepAll).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&last, &due, &all)
		if s.noted = err == nil; isNoRows(err) {
			return nil
		}
		return err
	})
	r.queueFeed(b, rules.id, &s.feed)
	b.Queue(r.sql(`SELECT `+atHome), notes.Feed.Log, notes.Feed.Incarnation).QueryRow(func(row pgx.Row) error { return row.Scan(&home) })
	b.Queue(r.sql(livePulledSQL), rules.id, notes.Feed.Position, notes.MaxLive).QueryRow(func(row pgx.Row) error { return row.Scan(&s.live) })
	if err := send(ctx, c, b); err != nil {
		return err
	}
	if s.noted && !home && s.feed.Log == notes.Feed.Log && s.feed.Incarnation == notes.Feed.Incarnation {
		return errNotHome
	}
	passed := s.feed.Filled
	if notes.Passed > passed && s.feed.isAt(&notes.Feed) {
		passed = notes.Passed
	}
	if !s.noted || !due && notes.Delivered == 0 && passed < s.feed.Filled+pullPage {
		s.noted = false
		return nil
	}
	evidence := s.feed.Evidence
	evidence.add(notes.Evidence)
	changes := &pullChanges{rules: rules}
	if due {
		since := time.Time{}
		if !all && last != nil {
			since = last.Add(-5 * time.Second)
		}
		if err := r.sweepDue(ctx, c, changes, since, all, &evidence, s); err != nil {
			return err
		}
	}
	b = &pgx.Batch{}
	r.queueChanges(b, changes)
	wholly := ""
	switch {
	case s.more: // those are not looked at again before all are
		wholly = "never"
	case all && due:
		wholly = "now"
	}
	var trouble *string
	if s.live >= notes.MaxLive {
		trouble = new(fmt.Sprintf("full: it has %d events that are not acknowledged and reads no more", s.live))
	}
	revision := s.feed.Revision
	if passed > s.feed.Filled && s.feed.Current != revision {
		revision = s.feed.Current
		var starts revisionStarts
		starts.add(partitionKey{rules.id, 0}, revision, s.feed.Filled+1)
		starts.queue(b, r)
	}
	b.Queue(r.sql(sweptSQL), rules.id, due, wholly, passed, notes.Delivered, orNull(evidence.Key), orNull(evidence.At), orNull(evidence.OtherAt), trouble, revision)
	r.queueFeed(b, rules.id, &s.feed)
	b.Queue(`COMMIT`)
	s.freed = len(changes.keys) > 0
	return send(ctx, c, b)
}

// sweepDue says what becomes of rows that are due.
func (r *records) sweepDue(ctx context.Context, c *pgxpool.Conn, changes *pullChanges, since time.Time, all bool, evidence *pullEvidence, s *swept) error {
	id := changes.rules.id
	var rows []pulledRow
	add := func(found pgx.Rows) error {
		some, err := scanPulled(found)
		s.more = s.more || len(some) == dueAtOnce
		rows = append(rows, some...)
		return err
	}
	b := &pgx.Batch{}
	b.Queue(r.sql(duePulledSQL), id, since, dueAtOnce).Query(add)
	if all {
		b.Queue(r.sql(strayPulledSQL), id, maxLease, maxDelay+time.Hour, dueAtOnce).Query(add)
	}
	if err := send(ctx, c, b); err != nil || len(rows) == 0 {
		return err
	}
	behind, err := r.lockBehind(ctx, c, changes.rules, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		if row.State == waiting {
			changes.returned, changes.keys = append(changes.returned, row.Position), append(changes.keys, row.Key)
			continue
		}
		it := &pullItem{op: opNack, token: pullToken{position: row.Position}, row: new(*row)}
		it.nack.Error = fmt.Sprintf("nobody acknowledged it: its lease ran out at %s", row.Deadline.Format(time.RFC3339))
		// Consumers that are all down kill nothing.
		it.charged = evidence.worked(row.Key, row.LeasedAt)
		it.class = changes.fail(row, s.feed.At, it.charged, false, pullFailure{state: blocked, class: classLease, err: it.nack.Error, delay: byRetry})
		changes.takeBack(row, behind)
		s.expired = append(s.expired, it)
	}
	return nil
}

// lockBehind locks what callers have of the same keys behind rows whose lease has run out, and is not due itself.
func (r *records) lockBehind(ctx context.Context, c *pgxpool.Conn, rules *pullRules, rows []pulledRow) (behind []pulledRow, err error) {
	if rules.perKey == 1 {
		return nil, nil
	}
	due := make(map[int64]bool, len(rows))
	var keys []string
	var positions []int64
	for i := range rows {
		if due[rows[i].Position] = true; rows[i].State == leased {
			keys, positions = append(keys, rows[i].Key), append(positions, rows[i].Position)
		}
	}
	b := &pgx.Batch{}
	b.Queue(r.sql(lockBehindSQL), rules.id, keys, positions).Query(func(found pgx.Rows) error {
		some, err := scanPulled(found)
		for _, row := range some {
			if !due[row.Position] {
				behind = append(behind, row)
			}
		}
		return err
	})
	return behind, send(ctx, c, b)
}
