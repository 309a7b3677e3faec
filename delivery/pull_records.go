package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
)

// The states of rows that only pulled subscriptions have.
const (
	// ready: a caller may have it.
	ready rowState = "ready"
	// leased: a caller has it.
	leased rowState = "leased"
)

// Of the rows of a key, those that are not dead, at most PullTarget.PerKey are leased, to one caller, or the first is ready or
// waits; all others are blocked. What holds the first of a key alone changes the others, so that blocked rows are never waited
// for. Locks are taken in order of position, and what was waited for is read by a later statement: see records.

// pullFeed is the one partition of a subscription that is pulled, as the database has it.
type pullFeed struct {
	// Position and Filled are as in subscription_partitions.
	Position, Filled int64
	Epoch            int64
	// Log and Incarnation are those of the positions.
	Log         uuid.UUID
	Incarnation int64
	// Revision is the one that it was filled by last, Current that of the subscription now.
	Revision, Current int64
	// Named: the subscription was not deleted. Running: it is neither paused nor stopped either.
	Named, Running bool
	Evidence       pullEvidence
	// At is the time of the database.
	At time.Time
}

// isAt reports whether nobody has moved the feed since.
func (f *pullFeed) isAt(other *pullFeed) bool {
	return f.Filled == other.Filled && f.Epoch == other.Epoch && f.Log == other.Log && f.Incarnation == other.Incarnation && f.Current == other.Current
}

// pullEvidence is when events were acknowledged last, by the clock of the database: whether an event is to blame that fails
// is told from whether others got through.
type pullEvidence struct {
	// Key is that of the last one, at At. OtherAt is when one of another key was; zero: never.
	Key         string
	At, OtherAt time.Time
}

// worked reports whether an event of another key was acknowledged after a time.
func (e *pullEvidence) worked(key string, since time.Time) bool {
	return e.OtherAt.After(since) || e.Key != key && e.At.After(since)
}

// saw notes that an event was acknowledged, in any order of times.
func (e *pullEvidence) saw(key string, at time.Time) {
	switch {
	case at.IsZero():
	case e.At.IsZero() || key == e.Key:
		e.Key = key
		e.At = later(e.At, at)
	case at.Before(e.At):
		e.OtherAt = later(e.OtherAt, at)
	default:
		e.Key, e.At, e.OtherAt = key, at, e.At
	}
}

// add adds what others know.
func (e *pullEvidence) add(other pullEvidence) {
	e.saw(other.Key, other.At)
	if e.Key == other.Key { // else it may be of that key
		e.OtherAt = later(e.OtherAt, other.OtherAt)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const feedSQL = `
SELECT p.position, coalesce(p.filled, 0), p.epoch, p.log_id, p.incarnation, p.revision, s.revision,
       s.name IS NOT NULL, s.name IS NOT NULL AND s.desired = 'running' AND s.stopped_at IS NULL,
       coalesce(p.acked_key, ''), p.acked_at, p.acked_other_at, now()
FROM {schema}.subscription_partitions p JOIN {schema}.subscriptions s ON s.id = p.subscription
WHERE p.subscription = $1 AND p.partition = 0`

// queueFeed reads the feed. It stays as it is if there is none any more.
func (r *records) queueFeed(b *pgx.Batch, id int64, f *pullFeed) {
	*f = pullFeed{}
	b.Queue(r.sql(feedSQL), id).QueryRow(func(row pgx.Row) error {
		var at, other *time.Time
		err := row.Scan(&f.Position, &f.Filled, &f.Epoch, &f.Log, &f.Incarnation, &f.Revision, &f.Current, &f.Named, &f.Running,
			&f.Evidence.Key, &at, &other, &f.At)
		f.Evidence.At, f.Evidence.OtherAt = orZero(at), orZero(other)
		if isNoRows(err) {
			return nil
		}
		return err
	})
}

// pulledRow is a row of a subscription that is pulled.
type pulledRow struct {
	Position             int64
	Key                  string
	State                rowState
	Token                uuid.UUID // zero: nobody's
	Attempts, Charged    int
	LeasedAt, Deadline   time.Time
	FirstFailed, LastTry time.Time // zero: it never failed
	Redrive              bool
	// removed, moved: by an item before, in the same transaction.
	removed, moved bool
}

const pulledColumns = `r.position, r.key, r.state, r.token, r.attempts, r.charged, r.leased_at, r.next_attempt_at, r.first_failed_at, r.last_failed_at, r.redrive`

func scanPulled(rows pgx.Rows) ([]pulledRow, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p pulledRow, err error) {
		var token *uuid.UUID
		var leasedAt, deadline, first, last *time.Time
		err = row.Scan(&p.Position, &p.Key, &p.State, &token, &p.Attempts, &p.Charged, &leasedAt, &deadline, &first, &last, &p.Redrive)
		if token != nil {
			p.Token = *token
		}
		p.LeasedAt, p.Deadline, p.FirstFailed, p.LastTry = orZero(leasedAt), orZero(deadline), orZero(first), orZero(last)
		return p, err
	})
}

var (
	// Beside the rows of tokens, those that their callers have of the same keys: two who acknowledge one each would not see
	// each other's, and the next of the key would stay blocked for ever.
	lockTokensSQL = `
SELECT ` + pulledColumns + `
FROM {schema}.subscription_parked r
WHERE r.subscription = $1 AND r.ordinal = 0 AND r.position = ANY (ARRAY(
    SELECT unnest($2::bigint[])
    UNION
    SELECT other.position
    FROM unnest($2::bigint[]) AS mine (position)
    CROSS JOIN LATERAL (
        SELECT m.key FROM {schema}.subscription_parked m
        WHERE m.subscription = $1 AND m.position = mine.position AND m.ordinal = 0 AND $3 LIMIT 1) AS m
    CROSS JOIN LATERAL (
        SELECT o.position FROM {schema}.subscription_parked o
        WHERE o.subscription = $1 AND o.pulled AND o.key = m.key AND o.state <> 'dead' AND o.state = 'leased' OFFSET 0) AS other))
ORDER BY r.position FOR UPDATE`

	ackSQL = `
DELETE FROM {schema}.subscription_parked WHERE subscription = $1 AND ordinal = 0 AND position = ANY ($2)`

	// By pairs of position and token: callers name what others have, too. IS TRUE keeps it from being a join, which is slow where
	// the planner takes the table for empty.
	ackTokensSQL = `
DELETE FROM {schema}.subscription_parked r
WHERE r.subscription = $1 AND r.ordinal = 0 AND r.position = ANY ($2)
AND ((r.position, r.token) IN (SELECT * FROM unnest($2::bigint[], $3::text[]::uuid[]))) IS TRUE
RETURNING ` + pulledColumns

	// What is left of them: rows that are another's.
	othersSQL = `
SELECT ` + pulledColumns + ` FROM {schema}.subscription_parked r WHERE r.subscription = $1 AND r.ordinal = 0 AND r.position = ANY ($2)`

	extendSQL = `
UPDATE {schema}.subscription_parked SET next_attempt_at = now() + $3::interval
WHERE subscription = $1 AND ordinal = 0 AND position = ANY ($2)`

	// What failed waits, is dead, or takes its place in line again: see freeSQL. It is nobody's then, but who comes late is not
	// too late as long as nobody else has it. The power is bounded, or it would be out of range.
	failSQL = `
UPDATE {schema}.subscription_parked
SET state = $3, charged = charged + $4, class = $5, error = $6, first_failed_at = coalesce(first_failed_at, now()), last_failed_at = now(),
    dead_at = CASE WHEN $3 = 'dead' THEN now() END, token = CASE WHEN $5 = '` + classLease + `' THEN token END,
    next_attempt_at = CASE WHEN $3 = 'waiting' THEN now() + coalesce($7::interval,
        greatest(random() * least($8::float8 * power($9::float8, least(attempts, 64) - 1), $10::float8), 0.001) * interval '1 second') END
WHERE subscription = $1 AND ordinal = 0 AND position = ANY ($2)`

	// Rows that are nobody's any more though they did not fail take their place in line again.
	returnSQL = `
UPDATE {schema}.subscription_parked
SET state = 'blocked', token = NULL, next_attempt_at = NULL, attempts = attempts - $3
WHERE subscription = $1 AND ordinal = 0 AND position = ANY ($2)`

	// The first of each key is ready if it was blocked: not behind one that is dead, where those hold their key by the definition
	// as it is now, which may be newer than that of the process.
	freeSQL = `
UPDATE {schema}.subscription_parked SET state = 'ready', next_attempt_at = NULL
WHERE subscription = $1 AND ordinal = 0 AND position = ANY (ARRAY(
    SELECT f.position
    FROM unnest($2::text[]) AS k (key)
    CROSS JOIN LATERAL (
        SELECT r.position, r.state FROM {schema}.subscription_parked r
        WHERE r.subscription = $1 AND r.pulled AND r.key = k.key AND r.state <> 'dead' ORDER BY r.position LIMIT 1) AS f
    WHERE f.state = 'blocked' AND ((
        SELECT s.definition::jsonb ->> 'after_dead' FROM {schema}.subscriptions s WHERE s.id = $1) IS DISTINCT FROM 'hold' OR (
        SELECT 1 FROM {schema}.subscription_parked d
        WHERE d.subscription = $1 AND d.pulled AND d.key = k.key AND d.state = 'dead' LIMIT 1) IS NULL)))`

	// The cursor keeps the index from meeting entries of rows that are gone.
	serveSQL = `
UPDATE {schema}.subscription_parked r
SET state = 'leased', token = $3, leased_at = now(), next_attempt_at = now() + $4::interval, attempts = r.attempts + 1
WHERE r.subscription = $1 AND r.ordinal = 0 AND r.state = 'ready' AND r.position = ANY (ARRAY(
    SELECT f.position FROM {schema}.subscription_parked f
    WHERE f.subscription = $1 AND f.state = 'ready'
    AND f.position > (SELECT p.position FROM {schema}.subscription_partitions p
        JOIN {schema}.subscriptions s ON s.id = p.subscription
        WHERE p.subscription = $1 AND p.partition = 0 AND s.name IS NOT NULL AND s.desired = 'running' AND s.stopped_at IS NULL)
    ORDER BY f.position LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING ` + pulledColumns

	// Those of the same keys that follow without one that waits between them. Who has the first has them.
	followersSQL = `
UPDATE {schema}.subscription_parked r
SET state = 'leased', token = $4, leased_at = now(), next_attempt_at = now() + $5::interval, attempts = r.attempts + 1
WHERE r.subscription = $1 AND r.ordinal = 0 AND r.state = 'blocked' AND r.position = ANY (ARRAY(
    SELECT n.position
    FROM unnest($2::text[]) AS k (key)
    CROSS JOIN LATERAL (
        SELECT f.position, count(*) FILTER (WHERE f.state <> 'blocked') OVER (ORDER BY f.position) AS others
        FROM (SELECT r.position, r.state FROM {schema}.subscription_parked r
            WHERE r.subscription = $1 AND r.pulled AND r.key = k.key AND r.state <> 'dead' ORDER BY r.position LIMIT $3 OFFSET 1) AS f) AS n
    WHERE n.others = 0))
RETURNING ` + pulledColumns
)

// onConn runs f on a connection, in a transaction that f begins and ends in the batches that it sends.
func (r *records) onConn(ctx context.Context, f func(*pgxpool.Conn) error) error {
	return r.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		err := f(c)
		if c.Conn().PgConn().TxStatus() != 'I' && !c.Conn().IsClosed() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			// An error here means that the connection is gone, and the transaction with it.
			_, _ = c.Exec(ctx, `ROLLBACK`)
		}
		return err
	})
}

// beginBatch returns a batch that begins a transaction, which may be lost with a server that crashes: what it did comes again.
func beginBatch() *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
	b.Queue(lazySQL)
	return b
}

func send(ctx context.Context, c *pgxpool.Conn, b *pgx.Batch) error {
	return c.SendBatch(ctx, b).Close()
}

// retryOnLocks runs f until it does not run into locks of others, which undid what it did, three times at most.
func retryOnLocks(f func() error) (err error) {
	for range 3 {
		if err = f(); !pgerr.Is(err, pgerr.Deadlock, pgerr.SerializationFailure, pgerr.LockNotAvailable) {
			return err
		}
	}
	return err
}

var errNotHome = fmt.Errorf("%w: %w: nothing is handed out until it is adopted", eventstore.ErrUnavailable, eventstore.ErrLogMoved)

// errMoved says that somebody has moved the feed meanwhile: nothing was done, it is to be looked at again.
var errMoved = errors.New("another process has filled it meanwhile")
