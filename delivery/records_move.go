package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// move is what the owner of a partition tells the database: everything that matches at or below To is delivered, or has
// a row when it is done.
type move struct {
	owned
	// Number counts the moves of the owner since it took the partition, from 1.
	Number int64
	// From is where the cursor was, as far as the owner knows.
	From, To int64
	// Put are rows that are new or have changed, at or below To; Remove are the positions of those that go.
	Put    []parkedRow
	Remove []int64
	// Done are wishes that were carried out, by position.
	Done map[int64]wish
	// Matched and Delivered are how many there were since From.
	Matched, Delivered int64
	// LastEventAt is when the last of them was recorded; zero: there was none.
	LastEventAt time.Time
	// Trouble is what keeps it from getting on; empty: nothing.
	Trouble string
	Report  *report
}

// report is what only the owner of a partition knows, for operators. It is written with moves.
type report struct {
	// Idle: nothing that matches lies between the cursor and what its process has read.
	Idle bool `json:"idle,omitempty"`
	// Read is how far it has read.
	Read     int64      `json:"read,omitempty"`
	InFlight int        `json:"in_flight,omitempty"`
	Oldest   *time.Time `json:"oldest,omitempty"` // when the oldest attempt in flight began
	Rate     float64    `json:"rate,omitempty"`   // positions a second that it passes
	Breaker  *string    `json:"breaker,omitempty"`
	// Throttled is until when the target takes nothing.
	Throttled *time.Time `json:"throttled,omitempty"`
	// NextProbe is when an open breaker lets an attempt through.
	NextProbe *time.Time `json:"next_probe,omitempty"`
	// Full are the keys whose rows keep it from reading.
	Full  []string       `json:"full,omitempty"`
	Stuck []StuckAttempt `json:"stuck,omitempty"`
}

// parkedRow is a row of subscription_parked, and rowState its state.
type (
	parkedRow = core.Row
	rowState  = core.State
)

const (
	waiting rowState = core.Waiting
	blocked rowState = core.Blocked
	dead    rowState = core.Dead
)

// wish is what an operator wants done with a row.
type wish string

// wantedRow is a row with which something is to be done.
type wantedRow struct {
	parkedRow
	Wish wish
}

const (
	wantRetry   wish = "retry"
	wantRedrive wish = "redrive"
	wantDiscard wish = "discard"
	// wantLater is what is said of a row whose wish is to be carried out later.
	wantLater wish = "later"
)

// moveSQL compares the epoch twice, again after it may have waited for the row. What is refused is refused alone. So is
// what comes behind a move that a server that crashed has lost: rows of it are not there.
var moveSQL = `
WITH held AS MATERIALIZED (
    SELECT w.*
    FROM {schema}.subscription_partitions p
    JOIN unnest($3::bigint[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::timestamptz[], $10::text[], $11::text[], $12::bigint[])
    AS w (subscription, partition, epoch, position, matched, delivered, last_event_at, trouble, report, number)
    ON p.subscription = w.subscription AND p.partition = w.partition
    WHERE p.epoch = w.epoch AND p.log_id = $1 AND p.incarnation = $2 AND ` + atHome + `
    ORDER BY p.subscription, p.partition FOR NO KEY UPDATE OF p
), moved AS (
    UPDATE {schema}.subscription_partitions p
    SET position = w.position, moves = w.number,
        matched = p.matched + CASE WHEN p.moves < w.number THEN w.matched ELSE 0 END,
        delivered = p.delivered + CASE WHEN p.moves < w.number THEN w.delivered ELSE 0 END,
        last_event_at = coalesce(w.last_event_at, p.last_event_at),
        trouble = w.trouble,
        trouble_at = CASE WHEN w.trouble IS NULL THEN NULL WHEN w.trouble = p.trouble THEN p.trouble_at ELSE now() END,
        report = coalesce(w.report, p.report), reported_at = CASE WHEN w.report IS NULL THEN p.reported_at ELSE now() END
    FROM held w
    WHERE p.subscription = w.subscription AND p.partition = w.partition
    AND p.epoch = w.epoch AND p.log_id = $1 AND p.incarnation = $2 AND p.position <= w.position
    AND p.moves BETWEEN w.number - 1 AND w.number
    RETURNING p.subscription, p.partition
)
SELECT subscription, partition FROM moved`

// The rows of a partition are written by statements of their own in the transaction that moves it, each found by a look-up:
// of a list of positions a plan that was made when the table was empty reads all rows of the subscription.
//
// Whoever changes rows has locked their partition, so that they stay where this finds them.
var (
	hasMoved = `EXISTS (
    SELECT FROM {schema}.subscription_partitions p
    WHERE p.subscription = $3 AND p.partition = $4 AND p.epoch = $5 AND p.log_id = $1 AND p.incarnation = $2 AND p.moves = $6
    AND ` + atHome + `)`

	theseRows = `ctid = ANY (ARRAY(
    SELECT r.ctid FROM unnest($7::bigint[]) AS these (position) CROSS JOIN LATERAL (
        SELECT ctid FROM {schema}.subscription_parked r
        WHERE r.subscription = $3 AND r.partition = $4 AND r.position = these.position AND r.ordinal = 0 LIMIT 1) AS r))`

	removeSQL = `
DELETE FROM {schema}.subscription_parked WHERE ` + theseRows + ` AND ` + hasMoved

	putSQL = `
INSERT INTO {schema}.subscription_parked (subscription, partition, position, key, state, attempts, charged,
    next_attempt_at, class, error, first_failed_at, last_failed_at, dead_at, redrive)
SELECT $3::bigint, $4::integer, r.* FROM unnest($7::bigint[], $8::text[], $9::text[], $10::integer[], $11::integer[],
    $12::timestamptz[], $13::text[], $14::text[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::boolean[]) AS r
WHERE ` + hasMoved + `
ON CONFLICT (subscription, position, ordinal) DO UPDATE
SET state = excluded.state, attempts = excluded.attempts, charged = excluded.charged, next_attempt_at = excluded.next_attempt_at,
    class = excluded.class, error = excluded.error, first_failed_at = excluded.first_failed_at,
    last_failed_at = excluded.last_failed_at, dead_at = excluded.dead_at, redrive = excluded.redrive`

	// Wishes that were carried out are forgotten. One of another kind came later.
	doneSQL = `
UPDATE {schema}.subscription_parked SET wanted = NULL, wanted_by = NULL, wanted_reason = NULL
WHERE ` + theseRows + ` AND wanted = $8 AND ` + hasMoved
)

// move makes the moves of partitions of a process, and returns those that it has no longer: they are to be
// forgotten, the others stand. Each partition is in it once.
//
// After an error that says nothing of what became of it, the same moves may be made again.
func (r *records) move(ctx context.Context, at eventstore.Token, moves []move) (refused []partitionKey, err error) {
	b := &pgx.Batch{}
	b.Queue(lazySQL)
	refused, err = r.sendMoves(ctx, r.pool, b, at, moves)
	if err != nil {
		return nil, fmt.Errorf("move cursors: %w", err)
	}
	return refused, nil
}

// moveInTx makes a move at the end of a transaction in which events have their effect. The error is errLost if the
// partition is another's: the transaction must not be committed then.
func (r *records) moveInTx(ctx context.Context, tx pgx.Tx, at eventstore.Token, m move) error {
	refused, err := r.sendMoves(ctx, tx, &pgx.Batch{}, at, []move{m})
	if err == nil && len(refused) > 0 {
		err = errLost
	}
	if err != nil {
		return fmt.Errorf("move the cursor of partition %s: %w", m.partitionKey, err)
	}
	return nil
}

type batchSender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func (r *records) sendMoves(ctx context.Context, db batchSender, b *pgx.Batch, at eventstore.Token, moves []move) ([]partitionKey, error) {
	if len(moves) == 0 {
		return nil, nil
	}
	moved := make(map[partitionKey]bool, len(moves))
	args := moveArgs(at, moves)
	b.Queue(r.sql(moveSQL), args...).Query(func(rows pgx.Rows) error {
		var k partitionKey
		_, err := pgx.ForEachRow(rows, []any{&k.Subscription, &k.Partition}, func() error {
			moved[k] = true
			return nil
		})
		return err
	})
	for i := range moves {
		r.queueRows(b, at, &moves[i])
	}
	if err := db.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	var refused []partitionKey
	for i := range moves {
		if !moved[moves[i].partitionKey] {
			refused = append(refused, moves[i].partitionKey)
		}
	}
	return refused, nil
}

// queueRows queues what becomes of the rows of a partition that has moved.
func (r *records) queueRows(b *pgx.Batch, at eventstore.Token, m *move) {
	fence := []any{at.Log, at.Incarnation, m.Subscription, m.Partition, m.Epoch, m.Number}
	if len(m.Remove) > 0 {
		b.Queue(r.sql(removeSQL), append(slices.Clip(fence), m.Remove)...)
	}
	if len(m.Put) > 0 {
		b.Queue(r.sql(putSQL), append(slices.Clip(fence), rowColumns(m.Put)...)...)
	}
	byWish := make(map[wish][]int64)
	for position, w := range m.Done {
		byWish[w] = append(byWish[w], position)
	}
	for w, positions := range byWish {
		b.Queue(r.sql(doneSQL), append(slices.Clip(fence), positions, string(w))...)
	}
}

// moveArgs turns moves into the parameters of moveSQL.
func moveArgs(at eventstore.Token, moves []move) []any {
	n := len(moves)
	w := struct {
		subscription, epoch, number, to, matched, delivered []int64
		partition                                           []int32
		lastEventAt                                         []*time.Time
		trouble, report                                     []*string
	}{
		subscription: make([]int64, n), epoch: make([]int64, n), number: make([]int64, n), to: make([]int64, n),
		matched: make([]int64, n), delivered: make([]int64, n), partition: make([]int32, n), lastEventAt: make([]*time.Time, n),
		trouble: make([]*string, n), report: make([]*string, n),
	}
	for i := range moves {
		m := &moves[i]
		w.subscription[i], w.partition[i], w.epoch[i] = m.Subscription, int32(m.Partition), m.Epoch
		w.number[i], w.to[i], w.matched[i], w.delivered[i] = m.Number, m.To, m.Matched, m.Delivered
		w.lastEventAt[i], w.trouble[i], w.report[i] = orNull(m.LastEventAt), orNull(operations.SanitizeText(m.Trouble)), m.Report.text()
	}
	return []any{at.Log, at.Incarnation,
		w.subscription, w.partition, w.epoch, w.to, w.matched, w.delivered, w.lastEventAt, w.trouble, w.report, w.number}
}

// rowColumns turns rows into the parameters of putSQL, by column.
func rowColumns(rows []parkedRow) []any {
	n := len(rows)
	positions, keys, states := make([]int64, n), make([]string, n), make([]string, n)
	attempts, charged, redrive := make([]int32, n), make([]int32, n), make([]bool, n)
	classes, errs := make([]*string, n), make([]*string, n)
	next, first, last, deadAt := make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	for i := range rows {
		row := &rows[i]
		positions[i], keys[i], states[i] = row.Position, row.Key, string(row.State)
		attempts[i], charged[i], redrive[i] = int32(row.Attempts), int32(row.Charged), row.Redrive
		classes[i], errs[i] = orNull(row.Class), orNull(operations.SanitizeText(row.Error))
		next[i], first[i], last[i], deadAt[i] = orNull(row.NextAttempt), orNull(row.FirstFailed), orNull(row.LastFailed), orNull(row.DeadAt)
	}
	return []any{positions, keys, states, attempts, charged, next, classes, errs, first, last, deadAt, redrive}
}

// eachRow reads rows of parkedColumns.
func eachRow(rows pgx.Rows, do func(partitionKey, wantedRow)) error {
	defer rows.Close()
	for rows.Next() {
		var k partitionKey
		var p parkedRow
		var w wish
		var next, first, last, deadAt *time.Time
		if err := rows.Scan(&k.Subscription, &k.Partition, &p.Position, &p.Key, &p.State, &p.Attempts, &p.Charged, &next,
			&p.Class, &p.Error, &first, &last, &deadAt, &p.Redrive, &w); err != nil {
			return err
		}
		p.NextAttempt, p.FirstFailed, p.LastFailed, p.DeadAt = orZero(next), orZero(first), orZero(last), orZero(deadAt)
		do(k, wantedRow{p, w})
	}
	return rows.Err()
}

// orNull returns nil for the zero value.
func orNull[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// orZero is the reverse of orNull for times, in UTC.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func (r *report) text() *string {
	if r == nil {
		return nil
	}
	// It has nothing that JSON cannot say.
	text, _ := json.Marshal(r)
	return orNull(string(text))
}
