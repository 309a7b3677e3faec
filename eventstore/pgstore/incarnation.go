package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgsql"
)

// ErrNotAdopted is returned by appends to a log whose database is another than
// the one it was written in: it was restored, copied, or failed over, and may
// lack events that were acknowledged before. Somebody has to look and adopt it.
// It matches eventstore.ErrLogMoved.
var ErrNotAdopted = fmt.Errorf("%w: it was restored or failed over and is not adopted", eventstore.ErrLogMoved)

// ErrAdopted is returned by appends of a store that was open while the log was
// adopted: what its users remember of streams may be of events that are lost.
// It matches eventstore.ErrLogMoved.
var ErrAdopted = fmt.Errorf("%w: it was adopted while this process ran", eventstore.ErrLogMoved)

// ErrReplaced is returned by appends of a store under whose address another log
// was put, or new tables without any: ids that it remembers mean others there.
// Reads of such tables return it too; they go on when there is a log.
// It matches eventstore.ErrLogMoved.
var ErrReplaced = fmt.Errorf("%w: the database holds another log, or none yet, since this process began", eventstore.ErrLogMoved)

// incarnation says which incarnation of which log this is.
type incarnation struct {
	log uuid.UUID
	// n is the incarnation, from 1. Events at or below fromPosition are those
	// of the incarnation before.
	n            int64
	fromPosition int64
	origin
}

// origin is the database that an incarnation was written in.
type origin struct {
	systemIdentifier int64
	timeline         int64
	databaseOID      int64
}

// sameIncarnation reports whether positions and ids of both mean the same.
func (in incarnation) sameIncarnation(other incarnation) bool {
	return in.log == other.log && in.n == other.n
}

// isIncarnationOf reports whether t is a position of this incarnation.
func (in incarnation) isIncarnationOf(t eventstore.Token) bool {
	return in.log == t.Log && in.n == t.Incarnation
}

func (in incarnation) token(position int64) eventstore.Token {
	return eventstore.Token{Log: in.log, Incarnation: in.n, Position: position}
}

func (s *Store) incarnation() incarnation { return *s.known.Load() }

const selectIncarnation = `
SELECT log_id, n, from_position, system_identifier, timeline, database_oid
FROM {schema}.log_incarnations ORDER BY n DESC LIMIT 1`

const insertIncarnation = `
INSERT INTO {schema}.log_incarnations (n, log_id, from_position, system_identifier, timeline, database_oid)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`

func scanIncarnation(row pgx.Row) (incarnation, error) {
	var in incarnation
	err := row.Scan(&in.log, &in.n, &in.fromPosition, &in.systemIdentifier, &in.timeline, &in.databaseOID)
	return in, err
}

func readOrigin(ctx context.Context, q rowQuerier) (origin, error) {
	var p origin
	err := q.QueryRow(ctx, pgsql.Origin).Scan(&p.systemIdentifier, &p.timeline, &p.databaseOID)
	return p, err
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// identify learns who the log is. A log that was never opened gets its id and
// first incarnation now.
func (s *Store) identify(ctx context.Context) error {
	in, err := scanIncarnation(s.cfg.Pool.QueryRow(ctx, s.sql(selectIncarnation)))
	if errors.Is(err, pgx.ErrNoRows) {
		here, err := readOrigin(ctx, s.cfg.Pool)
		if err != nil {
			return err
		}
		_, err = s.cfg.Pool.Exec(ctx, s.sql(insertIncarnation), 1, uuid.New(), 0,
			here.systemIdentifier, here.timeline, here.databaseOID)
		if err != nil {
			return err
		}
		in, err = scanIncarnation(s.cfg.Pool.QueryRow(ctx, s.sql(selectIncarnation)))
		if err != nil {
			return err
		}
		s.remember(in)
		return nil
	}
	if err != nil {
		return err
	}
	s.remember(in)
	return nil
}

// remember keeps the log's incarnation. What was known of another one of the log
// may be of events that are lost.
func (s *Store) remember(in incarnation) {
	if before := s.known.Swap(&in); before != nil && !before.sameIncarnation(in) {
		s.dictionary.reset()
		s.hub.reset()
	}
}

// checkIncarnationOf makes sure that a new connection leads to the log that this
// store may append to.
func (s *Store) checkIncarnationOf(ctx context.Context, q rowQuerier) error {
	in, here, err := s.readIncarnation(ctx, q)
	if err != nil {
		return err
	}
	if in.log != uuid.Nil {
		s.remember(in)
	}
	return s.checkAdopted(in, here)
}

// CheckAdopted reports whether this process may append to the log: if not, the
// error matches ErrNotAdopted, ErrAdopted or ErrReplaced. It looks at the database now, not
// at what appends have met.
func (s *Store) CheckAdopted(ctx context.Context) error {
	in, here, err := s.readIncarnation(ctx, s.cfg.Pool)
	if err != nil {
		return translate(err)
	}
	// What it read may be old when it is done, so it is not remembered.
	return s.checkAdopted(in, here)
}

// readIncarnation returns who the log is, and where it is read. Tables that no store
// was opened on yet have the zero incarnation.
func (s *Store) readIncarnation(ctx context.Context, q rowQuerier) (incarnation, origin, error) {
	in, err := scanIncarnation(q.QueryRow(ctx, s.sql(selectIncarnation)))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return in, origin{}, fmt.Errorf("read the incarnation of the log: %w", err)
	}
	here, err := readOrigin(ctx, q)
	if err != nil {
		return in, here, fmt.Errorf("read the incarnation of the log: %w", err)
	}
	return in, here, nil
}

func (s *Store) checkAdopted(in incarnation, here origin) error {
	if err := s.checkIncarnation(in); err != nil {
		return err
	}
	if here != in.origin {
		return eventstore.WithReason(fmt.Errorf("%w: %w", eventstore.ErrUnavailable, ErrNotAdopted), "log-not-adopted", "", s.cfg.Schema)
	}
	return nil
}

// queueIncarnation reads who the log is.
func (s *Store) queueIncarnation(b *pgx.Batch, in *incarnation) {
	b.Queue(s.sql(selectIncarnation)).QueryRow(func(row pgx.Row) (err error) {
		if *in, err = scanIncarnation(row); errors.Is(err, pgx.ErrNoRows) {
			err = nil // checkIncarnation says so
		}
		return err
	})
}

// checkIncarnation is the part of checkAdopted that can change under an open connection.
func (s *Store) checkIncarnation(in incarnation) error {
	switch own := s.adopted.Load(); {
	case in.log != own.log:
		return fmt.Errorf("%w: %w; restart it to go on with that one", eventstore.ErrUnavailable, ErrReplaced)
	case in.n != own.n:
		return fmt.Errorf("%w: %w: it is at incarnation %d now, this process began at %d; restart it",
			eventstore.ErrUnavailable, ErrAdopted, in.n, own.n)
	}
	return nil
}

// Adopt says that the log is to go on in this database: it starts a new
// incarnation at the present end of the log, after which appends are accepted
// again. Readers that had come further are told so. Adopting a log that is
// adopted already changes nothing. It returns the incarnation and the last
// position that it shares with the one before. Subscriptions go on from there at most.
func (s *Store) Adopt(ctx context.Context) (n, lastCommon int64, err error) {
	var adopted incarnation
	err = pgx.BeginTxFunc(ctx, s.cfg.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		s.queueLock(b)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		in, err := scanIncarnation(tx.QueryRow(ctx, s.sql(selectIncarnation)))
		if err != nil {
			return err
		}
		here, err := readOrigin(ctx, tx)
		if err != nil {
			return err
		}
		if here != in.origin {
			f := newFacts()
			b := &pgx.Batch{}
			s.queueHead(b, f)
			if err := tx.SendBatch(ctx, b).Close(); err != nil {
				return err
			}
			in.n, in.fromPosition, in.origin = in.n+1, f.head.position, here
			_, err = tx.Exec(ctx, s.sql(insertIncarnation), in.n, in.log, in.fromPosition,
				here.systemIdentifier, here.timeline, here.databaseOID)
			if err == nil {
				err = s.adoptSubscriptions(ctx, tx, in)
			}
			if err != nil {
				return err
			}
		}
		failpoint.Hit(failpoint.AdoptWritten)
		adopted, n, lastCommon = in, in.n, in.fromPosition
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("adopt the log: %w", translate(err))
	}
	failpoint.Hit(failpoint.AdoptDone)
	s.adopted.Store(&adopted)
	return n, lastCommon, s.identify(ctx)
}

// Cursors of package delivery go back to what both incarnations have, in that package's order of locks. A restore brings
// epochs back as well: an owner of before would move a cursor past the end of the log.
const (
	lockSubscriptions = `SELECT FROM {schema}.subscriptions ORDER BY id FOR UPDATE`
	// Halving begins anew: a barrier may be of what is lost.
	// What delivers a change feed has its numbers for positions, which are of this database.
	adoptSubscriptions = `
UPDATE {schema}.subscriptions s
SET start_position = CASE WHEN changes_of IS NULL THEN least(start_position, $2) ELSE start_position END, barrier = NULL
WHERE EXISTS (SELECT FROM {schema}.subscription_partitions p WHERE p.subscription = s.id AND p.log_id = $1)`
	lockPartitions = `
SELECT FROM {schema}.subscription_partitions WHERE log_id = $1 ORDER BY subscription, partition FOR NO KEY UPDATE`
	adoptPartitions = `
UPDATE {schema}.subscription_partitions p
SET incarnation = $3, epoch = nextval('{schema}.subscription_epochs'), member = NULL, read_to = NULL,
    position = CASE WHEN s.changes_of IS NULL THEN least(p.position, $2) ELSE p.position END,
    filled = CASE WHEN s.changes_of IS NULL AND filled > $2 THEN $2 ELSE filled END
FROM {schema}.subscriptions s WHERE s.id = p.subscription AND p.log_id = $1`
	forgetLost = `
WITH adopted AS (
    SELECT DISTINCT p.subscription FROM {schema}.subscription_partitions p JOIN {schema}.subscriptions s ON s.id = p.subscription
    WHERE p.log_id = $1 AND s.changes_of IS NULL),
parked AS (DELETE FROM {schema}.subscription_parked r USING adopted a WHERE r.subscription = a.subscription AND r.position > $2),
starts AS (UPDATE {schema}.subscription_revision_starts t SET from_position = $2 + 1 FROM adopted a
           WHERE t.subscription = a.subscription AND t.from_position > $2 + 1)
DELETE FROM {schema}.subscription_attempts t USING adopted a WHERE t.subscription = a.subscription AND t.position > $2`
	raiseChanges = `UPDATE {schema}.subscription_changes SET n = n + 1`
)

func (s *Store) adoptSubscriptions(ctx context.Context, tx pgx.Tx, in incarnation) error {
	b := &pgx.Batch{}
	// Epochs that are given must not be lost with the server.
	b.Queue(`SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`)
	b.Queue(s.sql(lockSubscriptions))
	b.Queue(s.sql(adoptSubscriptions), in.log, in.fromPosition)
	b.Queue(s.sql(lockPartitions), in.log)
	b.Queue(s.sql(adoptPartitions), in.log, in.fromPosition, in.n)
	b.Queue(s.sql(forgetLost), in.log, in.fromPosition)
	b.Queue(s.sql(raiseChanges))
	return tx.SendBatch(ctx, b).Close()
}

// checkToken reports whether reading may go on behind t.
func (s *Store) checkToken(ctx context.Context, t, head eventstore.Token) error {
	if t.Log != head.Log {
		return &eventstore.LogChangedError{Token: t, Head: head, LastCommon: -1}
	}
	lastCommon := head.Position
	if t.Incarnation != head.Incarnation {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		// The lowest beginning of all incarnations since the token's.
		err := s.cfg.Pool.QueryRow(ctx,
			s.sql(`SELECT coalesce(min(from_position), 0) FROM {schema}.log_incarnations WHERE n > $1`),
			t.Incarnation).Scan(&lastCommon)
		if err != nil {
			return fmt.Errorf("read the log's incarnations: %w", translate(err))
		}
	}
	if t.Position > lastCommon {
		return &eventstore.LogChangedError{Token: t, Head: head, LastCommon: lastCommon}
	}
	return nil
}
