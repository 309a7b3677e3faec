package delivery

import (
	"context"
	"encoding/json"
	"fmt"
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
	// Revision, if not 0, is what the partition delivers by behind To.
	Revision int64
	// ReadTo, if not 0, is how far it has read: it reads no more until it is halved.
	ReadTo int64
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
	// Full are the keys whose rows keep it from reading, Stuck those whose handler does not return.
	Full  []string `json:"full,omitempty"`
	Stuck []string `json:"stuck,omitempty"`
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
)

// moveSQL compares the epoch twice, again after it may have waited for the row. What is refused is refused alone. So is
// what comes behind a move that a server that crashed has lost: rows of it are not there.
var moveSQL = `
WITH want AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::timestamptz[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::bigint[])
    AS w (subscription, partition, epoch, was, position, matched, delivered, last_event_at, revision, read_to, trouble, report, number)
), held AS MATERIALIZED (
    SELECT p.subscription, p.partition
    FROM {schema}.subscription_partitions p JOIN want USING (subscription, partition)
    WHERE p.epoch = want.epoch AND p.log_id = $1 AND p.incarnation = $2 AND ` + atHome + `
    ORDER BY p.subscription, p.partition FOR NO KEY UPDATE OF p
), moved AS (
    UPDATE {schema}.subscription_partitions p
    SET position = w.position, moves = w.number,
        matched = p.matched + CASE WHEN p.position = w.was THEN w.matched ELSE 0 END,
        delivered = p.delivered + CASE WHEN p.position = w.was THEN w.delivered ELSE 0 END,
        last_event_at = coalesce(w.last_event_at, p.last_event_at),
        revision = coalesce(w.revision, p.revision), read_to = coalesce(w.read_to, p.read_to),
        trouble = w.trouble,
        trouble_at = CASE WHEN w.trouble IS NULL THEN NULL WHEN w.trouble = p.trouble THEN p.trouble_at ELSE now() END,
        report = coalesce(w.report, p.report), reported_at = CASE WHEN w.report IS NULL THEN p.reported_at ELSE now() END
    FROM want w JOIN held USING (subscription, partition)
    WHERE p.subscription = w.subscription AND p.partition = w.partition
    AND p.epoch = w.epoch AND p.log_id = $1 AND p.incarnation = $2 AND p.position <= w.position
    AND p.moves BETWEEN w.number - 1 AND w.number
    RETURNING p.subscription, p.partition, w.revision, w.position
), starts AS (
    INSERT INTO {schema}.subscription_revision_starts (subscription, partition, revision, from_position)
    SELECT subscription, partition, revision, position + 1 FROM moved WHERE revision IS NOT NULL
    ON CONFLICT DO NOTHING
), removed AS (
    DELETE FROM {schema}.subscription_parked r
    USING unnest($16::bigint[], $17::integer[], $18::bigint[]) AS d (subscription, partition, position)
    JOIN moved m USING (subscription, partition)
    WHERE r.subscription = d.subscription AND r.position = d.position AND r.ordinal = 0
), put AS (
    INSERT INTO {schema}.subscription_parked AS r (subscription, partition, position, key, state, attempts, charged,
        next_attempt_at, class, error, first_failed_at, last_failed_at, dead_at, redrive)
    SELECT p.subscription, p.partition, p.position, p.key, p.state, p.attempts, p.charged,
        p.next_attempt_at, p.class, p.error, p.first_failed_at, p.last_failed_at, p.dead_at, p.redrive
    FROM unnest($19::bigint[], $20::integer[], $21::bigint[], $22::text[], $23::text[], $24::integer[], $25::integer[],
        $26::timestamptz[], $27::text[], $28::text[], $29::timestamptz[], $30::timestamptz[], $31::timestamptz[], $32::boolean[])
    AS p (subscription, partition, position, key, state, attempts, charged,
        next_attempt_at, class, error, first_failed_at, last_failed_at, dead_at, redrive)
    JOIN moved m USING (subscription, partition)
    ORDER BY p.subscription, p.position
    ON CONFLICT (subscription, position, ordinal) DO UPDATE
    SET state = excluded.state, attempts = excluded.attempts, charged = excluded.charged, next_attempt_at = excluded.next_attempt_at,
        class = excluded.class, error = excluded.error, first_failed_at = excluded.first_failed_at,
        last_failed_at = excluded.last_failed_at, dead_at = excluded.dead_at, redrive = excluded.redrive
)
SELECT subscription, partition FROM moved`

// doneSQL forgets wishes that were carried out. One of another kind came later.
const doneSQL = `
UPDATE {schema}.subscription_parked r SET wanted = NULL, wanted_by = NULL, wanted_reason = NULL
FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[], $5::text[]) AS d (subscription, partition, epoch, position, wanted)
JOIN {schema}.subscription_partitions p USING (subscription, partition)
WHERE p.epoch = d.epoch AND r.subscription = d.subscription AND r.position = d.position AND r.ordinal = 0 AND r.wanted = d.wanted`

// move makes the moves of partitions of a process, and returns those that it has no longer: they are to be
// forgotten, the others stand. Each partition is in it once.
//
// After an error that says nothing of what became of it, the same moves may be made again.
func (r *records) move(ctx context.Context, at eventstore.Token, moves []move) (refused []partitionKey, err error) {
	b := &pgx.Batch{}
	b.Queue(settings)
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
	r.queueDone(b, moves)
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

func (r *records) queueDone(b *pgx.Batch, moves []move) {
	var all []owned
	var positions []int64
	var wishes []string
	for i := range moves {
		for position, w := range moves[i].Done {
			all, positions, wishes = append(all, moves[i].owned), append(positions, position), append(wishes, string(w))
		}
	}
	if len(all) > 0 {
		subscriptions, partitions, epochs := columns(all)
		b.Queue(r.sql(doneSQL), subscriptions, partitions, epochs, positions, wishes)
	}
}

// moveArgs turns moves into the parameters of moveSQL.
func moveArgs(at eventstore.Token, moves []move) []any {
	n := len(moves)
	w := struct {
		subscription, epoch, number, from, to, matched, delivered []int64
		partition                                                 []int32
		lastEventAt                                               []*time.Time
		revision, readTo                                          []*int64
		trouble, report                                           []*string
	}{
		subscription: make([]int64, n), epoch: make([]int64, n), number: make([]int64, n), from: make([]int64, n), to: make([]int64, n),
		matched: make([]int64, n), delivered: make([]int64, n), partition: make([]int32, n), lastEventAt: make([]*time.Time, n),
		revision: make([]*int64, n), readTo: make([]*int64, n), trouble: make([]*string, n), report: make([]*string, n),
	}
	puts, removes := 0, 0
	for i := range moves {
		puts, removes = puts+len(moves[i].Put), removes+len(moves[i].Remove)
	}
	d := struct {
		subscription, position []int64
		partition              []int32
	}{make([]int64, 0, removes), make([]int64, 0, removes), make([]int32, 0, removes)}
	p := newRowColumns(puts)
	for i := range moves {
		m := &moves[i]
		w.subscription[i], w.partition[i], w.epoch[i] = m.Subscription, int32(m.Partition), m.Epoch
		w.number[i], w.from[i], w.to[i], w.matched[i], w.delivered[i] = m.Number, m.From, m.To, m.Matched, m.Delivered
		w.lastEventAt[i], w.revision[i], w.readTo[i] = orNull(m.LastEventAt), orNull(m.Revision), orNull(m.ReadTo)
		w.trouble[i], w.report[i] = orNull(operations.SanitizeText(m.Trouble)), m.Report.text()
		for _, position := range m.Remove {
			d.subscription, d.partition, d.position = append(d.subscription, m.Subscription), append(d.partition, int32(m.Partition)), append(d.position, position)
		}
		for j := range m.Put {
			p.add(m.partitionKey, &m.Put[j])
		}
	}
	return append([]any{at.Log, at.Incarnation,
		w.subscription, w.partition, w.epoch, w.from, w.to, w.matched, w.delivered, w.lastEventAt, w.revision, w.readTo, w.trouble, w.report, w.number,
		d.subscription, d.partition, d.position}, p.args()...)
}

// rowColumns are parked rows by column.
type rowColumns struct {
	subscription, position          []int64
	partition                       []int32
	key, state                      []string
	attempts, charged               []int32
	next                            []*time.Time
	class, error                    []*string
	firstFailed, lastFailed, deadAt []*time.Time
	redrive                         []bool
}

func newRowColumns(n int) *rowColumns {
	return &rowColumns{
		subscription: make([]int64, 0, n), position: make([]int64, 0, n), partition: make([]int32, 0, n), key: make([]string, 0, n),
		state: make([]string, 0, n), attempts: make([]int32, 0, n), charged: make([]int32, 0, n), next: make([]*time.Time, 0, n),
		class: make([]*string, 0, n), error: make([]*string, 0, n), firstFailed: make([]*time.Time, 0, n),
		lastFailed: make([]*time.Time, 0, n), deadAt: make([]*time.Time, 0, n), redrive: make([]bool, 0, n),
	}
}

func (c *rowColumns) add(k partitionKey, row *parkedRow) {
	c.subscription, c.position, c.partition = append(c.subscription, k.Subscription), append(c.position, row.Position), append(c.partition, int32(k.Partition))
	c.key, c.state = append(c.key, row.Key), append(c.state, string(row.State))
	c.attempts, c.charged = append(c.attempts, int32(row.Attempts)), append(c.charged, int32(row.Charged))
	c.next, c.class, c.error = append(c.next, orNull(row.NextAttempt)), append(c.class, orNull(row.Class)), append(c.error, orNull(operations.SanitizeText(row.Error)))
	c.firstFailed, c.lastFailed, c.deadAt = append(c.firstFailed, orNull(row.FirstFailed)), append(c.lastFailed, orNull(row.LastFailed)), append(c.deadAt, orNull(row.DeadAt))
	c.redrive = append(c.redrive, row.Redrive)
}

func (c *rowColumns) args() []any {
	return []any{c.subscription, c.partition, c.position, c.key, c.state, c.attempts, c.charged, c.next, c.class, c.error,
		c.firstFailed, c.lastFailed, c.deadAt, c.redrive}
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
