package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

// A plan was committed if all that it writes is there. Its last event alone
// would not do: a retry of it, by another process, may have come to lie at the
// same position.
const selectLanded = `
WITH landed_events AS (
    SELECT count(*) AS n, max(e.recorded_at) AS at
    FROM unnest($1::bigint[], $2::text[], $3::uuid[]) AS u(position, stream, id)
    JOIN {schema}.events e ON e.position = u.position AND e.id = u.id
    JOIN {schema}.streams s ON s.id = e.stream_id AND s.name = u.stream
), landed_receipts AS (
    SELECT count(*) AS n
    FROM unnest($4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[]) AS u(scope, key, fingerprint, answer, result)
    JOIN {schema}.receipts r USING (scope, key, fingerprint, answer, result)
)
SELECT e.n = coalesce(cardinality($3::uuid[]), 0) AND ($9::boolean OR r.n = coalesce(cardinality($5::text[]), 0)), e.at
FROM landed_events e, landed_receipts r`

// queueLanded sets landed to p if it was committed.
func (s *Store) queueLanded(b *pgx.Batch, p *plan, landed **plan) {
	if p.isEmpty() {
		return
	}
	streams := make([]string, len(p.events))
	// Nobody else can write an id that this process made, so receipts, which
	// may have been purged, need not prove anything.
	unmistakable := false
	for i, e := range p.events {
		streams[i] = e.Stream
		unmistakable = unmistakable || p.flags[i]&flagSuppliedID == 0
	}
	b.Queue(s.sql(selectLanded), p.positions, streams, p.ids,
		p.scopes, p.keys, p.fingerprints, p.answers, p.results, unmistakable,
	).QueryRow(func(row pgx.Row) error {
		var found bool
		var at *time.Time
		if err := row.Scan(&found, &at); err != nil || !found {
			return err
		}
		if at != nil {
			p.recordedAt(*at)
		}
		*landed = p
		return nil
	})
}

func (p *plan) recordedAt(t time.Time) {
	for i := range p.events {
		p.events[i].RecordedAt = t.UTC()
	}
}

// patience is how long a commit that was lost, or a database that cannot be
// reached, is tried again.
type patience struct {
	deadline time.Time
	pause    background.Backoff
}

func newPatience(d time.Duration) patience {
	return patience{deadline: time.Now().Add(d), pause: newBackoff()}
}

// again waits before another attempt; false if there is to be none after err.
func (p *patience) again(err error) bool {
	if time.Now().After(p.deadline) || isPermanent(err) {
		return false
	}
	time.Sleep(p.pause.Next())
	return true
}

func unsettled(err error) error {
	return fmt.Errorf("append: %w: append again with the same ids or receipt: %w", eventstore.ErrOutcomeUnknown, err)
}

// settle finds out whether p, whose commit returned cause, is in the log.
func (s *Store) settle(ctx context.Context, p *plan, cause error) error {
	var refused *pgconn.PgError
	switch {
	case errors.As(cause, &refused) && refused.SeverityUnlocalized == "ERROR":
		// What the log demands was checked when its rows were written, so this
		// is about the caller's: a deferred constraint.
		return fmt.Errorf("commit: nothing was written: %w", cause)
	case errors.Is(cause, pgx.ErrTxCommitRollback), errors.Is(cause, pgx.ErrTxClosed):
		return translate(cause)
	case p.isEmpty():
		// Nothing of ours tells whether the caller's rows are there.
		return unsettled(cause)
	}
	until := newPatience(s.cfg.SettleTimeout)
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until.deadline)
	defer cancel()
	for {
		landed, err := s.hasLanded(ctx, p)
		switch {
		case err == nil && !landed:
			return fmt.Errorf("%w: the commit was lost, nothing was written: %w", eventstore.ErrUnavailable, cause)
		case err == nil:
			return nil
		case !until.again(err):
			return unsettled(err)
		}
	}
}

// hasLanded reports whether p is in the log. The transaction that wrote it held
// the lock, so once another one holds it, p is there for good or never will be.
func (s *Store) hasLanded(ctx context.Context, p *plan) (bool, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer closeConn(ctx, conn.Conn)
	var landed *plan
	b := &pgx.Batch{}
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	s.queueLock(b)
	s.queueLanded(b, p, &landed)
	b.Queue("COMMIT")
	err = conn.commit(ctx, b)
	return landed != nil, err
}
