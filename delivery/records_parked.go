package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/operations"
)

const wantedSQL = `
SELECT ` + parkedColumns + `
FROM unnest($1::bigint[], $2::integer[]) AS want (subscription, partition)
CROSS JOIN LATERAL (
    (SELECT ` + wantedColumns + `, r.wanted FROM {schema}.subscription_parked r
     WHERE r.subscription = want.subscription AND r.partition = want.partition AND r.wanted IS NOT NULL AND NOT ` + comesLater + `
     ORDER BY r.position LIMIT $3)
    UNION ALL
    (SELECT ` + wantedColumns + `, '` + string(wantLater) + `' FROM {schema}.subscription_parked r
     WHERE r.subscription = want.subscription AND r.partition = want.partition AND r.wanted IS NOT NULL AND ` + comesLater + `
     LIMIT 1)) AS r`

const (
	wantedColumns = `r.subscription, r.partition, r.position, r.key, r.state, r.attempts, r.charged, r.next_attempt_at, r.class, r.error,
        r.first_failed_at, r.last_failed_at, r.dead_at, r.redrive`

	// comesLater is the condition that it is not the turn yet of a dead letter, see DeadOptions.Rate.
	comesLater = `coalesce(r.state = 'dead' AND r.next_attempt_at > now(), false)`
)

// wanted returns the rows of partitions with which operators want something done, by position, at most limit of a
// partition: what was done is said with a move, and is wanted no more. Later says that the turn of others is still to come.
func (r *records) wanted(ctx context.Context, keys []partitionKey, limit int) (found map[partitionKey][]wantedRow, later bool, err error) {
	found = make(map[partitionKey][]wantedRow)
	subscriptions, partitions := keyColumns(keys)
	rows, err := r.pool.Query(ctx, r.sql(wantedSQL), subscriptions, partitions, limit)
	if err == nil {
		err = eachRow(rows, func(k partitionKey, row wantedRow) {
			if row.Wish == wantLater {
				later = true
			} else {
				found[k] = append(found[k], row)
			}
		})
	}
	if err != nil {
		return nil, false, fmt.Errorf("read what operators want: %w", err)
	}
	return found, later, nil
}

// attempt is one try to deliver an event.
type attempt struct {
	Subscription, Position int64
	Attempt                int
	At                     time.Time
	Took                   time.Duration
	Outcome                string
	Charged                bool
	Class                  string
	// Status is that of HTTP; 0: there is none.
	Status int
	Error  string
	// Answer is the beginning of what the target answered, Sent the headers that were sent.
	Answer, Sent string
}

const attemptsSQL = `
INSERT INTO {schema}.subscription_attempts
    (subscription, position, attempt, at, took, outcome, charged, class, status, error, answer, sent, process)
SELECT *, $13::text FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::bigint[], $6::text[], $7::boolean[],
    $8::text[], $9::integer[], $10::text[], $11::text[], $12::text[])`

// recordAttempts writes attempts down. They happened, whoever has the partitions now: no epoch is compared.
func (r *records) recordAttempts(ctx context.Context, process string, attempts []attempt) error {
	n := len(attempts)
	subscriptions, positions, numbers := make([]int64, n), make([]int64, n), make([]int32, n)
	at, took, outcomes, charged := make([]time.Time, n), make([]int64, n), make([]string, n), make([]bool, n)
	classes, statuses, errs := make([]*string, n), make([]*int32, n), make([]*string, n)
	answers, sent := make([]*string, n), make([]*string, n)
	for i := range attempts {
		a := &attempts[i]
		subscriptions[i], positions[i], numbers[i] = a.Subscription, a.Position, int32(a.Attempt)
		at[i], took[i], outcomes[i], charged[i] = a.At, a.Took.Microseconds(), a.Outcome, a.Charged
		classes[i], statuses[i] = orNull(a.Class), orNull(int32(a.Status))
		errs[i], answers[i] = orNull(operations.SanitizeText(a.Error)), orNull(operations.SanitizeText(a.Answer))
		sent[i] = orNull(a.Sent)
	}
	b := &pgx.Batch{}
	b.Queue(lazySQL)
	b.Queue(r.sql(attemptsSQL), subscriptions, positions, numbers, at, took, outcomes, charged, classes, statuses, errs, answers, sent, process)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("write attempts down: %w", err)
	}
	return nil
}

const (
	lockSubscriptionSQL = `SELECT FROM {schema}.subscriptions WHERE id = $1 FOR NO KEY UPDATE`

	stopSQL = `
UPDATE {schema}.subscriptions s
SET stopped_at = now(), stopped_position = $4, failure = $5, failure_reason = $6
WHERE s.id = $1 AND s.stopped_at IS NULL
AND EXISTS (SELECT FROM {schema}.subscription_partitions p WHERE p.subscription = $1 AND p.partition = $2 AND p.epoch = $3)`

	// Of a partition that nobody has who is alive anybody may tell, as epoch 0.
	mayTell = `(p.epoch = w.epoch OR w.epoch = 0 AND NOT EXISTS (
        SELECT FROM {schema}.subscription_members m WHERE m.id = p.member AND ` + alive + `))`

	// The rows are locked in the order of their keys, like those of moves.
	tellSQL = `
WITH want AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
    AS w (subscription, partition, epoch, trouble, report, read_to)
), held AS MATERIALIZED (
    SELECT p.subscription, p.partition FROM {schema}.subscription_partitions p JOIN want w USING (subscription, partition)
    WHERE ` + mayTell + ` ORDER BY p.subscription, p.partition FOR NO KEY UPDATE OF p
)
UPDATE {schema}.subscription_partitions p
SET trouble = w.trouble, trouble_at = CASE WHEN w.trouble IS NULL THEN NULL WHEN w.trouble = p.trouble THEN p.trouble_at ELSE now() END,
    report = coalesce(w.report, p.report), reported_at = CASE WHEN w.report IS NULL THEN p.reported_at ELSE now() END,
    read_to = coalesce(w.read_to, p.read_to)
FROM want w JOIN held USING (subscription, partition)
WHERE p.subscription = w.subscription AND p.partition = w.partition AND ` + mayTell
)

// failure is why a subscription stops.
type failure struct {
	// Position is that of the event; 0: it is none's.
	Position int64
	Error    string
	Reason   operations.Reason
}

// stop stops a subscription, in all partitions and processes, until an operator resumes it. What has stopped
// already keeps its first failure: then stopped is false. The error is errLost if the partition is another's.
func (r *records) stop(ctx context.Context, o owned, f failure) (stopped bool, err error) {
	err = r.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, r.sql(lockSubscriptionSQL), o.Subscription); err != nil {
			return err
		}
		if err := r.checkOwned(ctx, tx, o); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, r.sql(stopSQL), o.Subscription, o.Partition, o.Epoch, orNull(f.Position), operations.SanitizeText(f.Error), f.Reason)
		if stopped = tag.RowsAffected() > 0; err != nil || !stopped {
			return err
		}
		return r.raise(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("stop subscription %d: %w", o.Subscription, err)
	}
	return stopped, nil
}

// checkOwned returns errLost if a partition is another's.
func (r *records) checkOwned(ctx context.Context, tx pgx.Tx, o owned) error {
	var epoch int64
	err := tx.QueryRow(ctx, r.sql(`SELECT epoch FROM {schema}.subscription_partitions WHERE subscription = $1 AND partition = $2 FOR SHARE`),
		o.Subscription, o.Partition).Scan(&epoch)
	if isNoRows(err) || err == nil && epoch != o.Epoch {
		return errLost
	}
	return err
}

// told is what the owner of a partition tells operators, or with epoch 0 a process that cannot have one that nobody has.
type told struct {
	owned
	Trouble string
	Report  *report
	// ReadTo, if not 0, is how far it has read: it reads no more until it is halved.
	ReadTo int64
}

// tell writes down what owners tell of partitions that do not move. What is another's by now is left alone.
func (r *records) tell(ctx context.Context, all []told) error {
	n := len(all)
	subscriptions, partitions, epochs := make([]int64, n), make([]int32, n), make([]int64, n)
	troubles, reports, reads := make([]*string, n), make([]*string, n), make([]*int64, n)
	for i := range all {
		reads[i] = orNull(all[i].ReadTo)
		subscriptions[i], partitions[i], epochs[i] = all[i].Subscription, int32(all[i].Partition), all[i].Epoch
		troubles[i], reports[i] = orNull(operations.SanitizeText(all[i].Trouble)), all[i].Report.text()
	}
	b := &pgx.Batch{}
	b.Queue(settings)
	b.Queue(lazySQL)
	b.Queue(r.sql(tellSQL), subscriptions, partitions, epochs, troubles, reports, reads)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("tell about partitions: %w", err)
	}
	return nil
}
