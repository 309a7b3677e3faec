package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
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

// identity says which life of which log this is.
type identity struct {
	log uuid.UUID
	// n is the incarnation, from 1. Events at or below fromPosition are those
	// of the life before.
	n            int64
	fromPosition int64
	place
}

// place is where a life of the log is lived.
type place struct {
	systemIdentifier int64
	timeline         int64
	databaseOID      int64
}

// sameLife reports whether positions and ids of both mean the same.
func (in identity) sameLife(other identity) bool { return in.log == other.log && in.n == other.n }

// isLifeOf reports whether t is a position of this life.
func (in identity) isLifeOf(t eventstore.Token) bool { return in.log == t.Log && in.n == t.Incarnation }

func (in identity) token(position int64) eventstore.Token {
	return eventstore.Token{Log: in.log, Incarnation: in.n, Position: position}
}

func (s *Store) identity() identity { return *s.known.Load() }

// The timeline of the last checkpoint lags behind a promotion; the name of the
// present WAL file does not. A standby has none, and takes no appends.
const selectPlace = `
SELECT (pg_control_system()).system_identifier,
       CASE WHEN pg_is_in_recovery() THEN 0
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint END,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database())`

const selectIdentity = `
SELECT log_id, n, from_position, system_identifier, timeline, database_oid
FROM {schema}.log_incarnations ORDER BY n DESC LIMIT 1`

const insertIncarnation = `
INSERT INTO {schema}.log_incarnations (n, log_id, from_position, system_identifier, timeline, database_oid)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`

func scanIdentity(row pgx.Row) (identity, error) {
	var in identity
	err := row.Scan(&in.log, &in.n, &in.fromPosition, &in.systemIdentifier, &in.timeline, &in.databaseOID)
	return in, err
}

func readPlace(ctx context.Context, q rowQuerier) (place, error) {
	var p place
	err := q.QueryRow(ctx, selectPlace).Scan(&p.systemIdentifier, &p.timeline, &p.databaseOID)
	return p, err
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// identify learns who the log is. A log that was never opened gets its id and
// first incarnation now.
func (s *Store) identify(ctx context.Context) error {
	in, err := scanIdentity(s.cfg.Pool.QueryRow(ctx, s.sql(selectIdentity)))
	if errors.Is(err, pgx.ErrNoRows) {
		here, err := readPlace(ctx, s.cfg.Pool)
		if err != nil {
			return err
		}
		_, err = s.cfg.Pool.Exec(ctx, s.sql(insertIncarnation), 1, uuid.New(), 0,
			here.systemIdentifier, here.timeline, here.databaseOID)
		if err != nil {
			return err
		}
		in, err = scanIdentity(s.cfg.Pool.QueryRow(ctx, s.sql(selectIdentity)))
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

// remember keeps the log's identity. What was known of another life of the log
// may be of events that are lost.
func (s *Store) remember(in identity) {
	if before := s.known.Swap(&in); before != nil && !before.sameLife(in) {
		s.dictionary.reset()
		s.hub.reset()
	}
}

// checkIdentity makes sure that a new connection leads to the log that this
// store may append to.
func (s *Store) checkIdentity(ctx context.Context, q rowQuerier) error {
	in, here, err := s.readIdentity(ctx, q)
	if err != nil {
		return err
	}
	if in.log != uuid.Nil {
		s.remember(in)
	}
	return s.checkHome(in, here)
}

// CheckHome reports whether this process may append to the log: if not, the
// error matches ErrNotAdopted, ErrAdopted or ErrReplaced. It looks at the database now, not
// at what appends have met.
func (s *Store) CheckHome(ctx context.Context) error {
	in, here, err := s.readIdentity(ctx, s.cfg.Pool)
	if err != nil {
		return translate(err)
	}
	// What it read may be old when it is done, so it is not remembered.
	return s.checkHome(in, here)
}

// readIdentity returns who the log is, and where it is read. Tables that no store
// was opened on yet have the zero identity.
func (s *Store) readIdentity(ctx context.Context, q rowQuerier) (identity, place, error) {
	in, err := scanIdentity(q.QueryRow(ctx, s.sql(selectIdentity)))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return in, place{}, fmt.Errorf("read the log's identity: %w", err)
	}
	here, err := readPlace(ctx, q)
	if err != nil {
		return in, here, fmt.Errorf("read the log's identity: %w", err)
	}
	return in, here, nil
}

func (s *Store) checkHome(in identity, here place) error {
	if err := s.checkLife(in); err != nil {
		return err
	}
	if here != in.place {
		return eventstore.WithReason(fmt.Errorf("%w: %w", eventstore.ErrUnavailable, ErrNotAdopted), "log-not-adopted", "", s.cfg.Schema)
	}
	return nil
}

// queueLife reads who the log is.
func (s *Store) queueLife(b *pgx.Batch, in *identity) {
	b.Queue(s.sql(selectIdentity)).QueryRow(func(row pgx.Row) (err error) {
		if *in, err = scanIdentity(row); errors.Is(err, pgx.ErrNoRows) {
			err = nil // checkLife says so
		}
		return err
	})
}

// checkLife is the part of checkHome that can change under an open connection.
func (s *Store) checkLife(in identity) error {
	switch home := s.home.Load(); {
	case in.log != home.log:
		return fmt.Errorf("%w: %w; restart it to go on with that one", eventstore.ErrUnavailable, ErrReplaced)
	case in.n != home.n:
		return fmt.Errorf("%w: %w: it is at incarnation %d now, this process began at %d; restart it",
			eventstore.ErrUnavailable, ErrAdopted, in.n, home.n)
	}
	return nil
}

// Adopt says that this database is now the log's home: it starts a new
// incarnation at the present end of the log, after which appends are accepted
// again. Readers that had come further are told so. Adopting a log that is at
// home already changes nothing. It returns the incarnation and the last
// position that it shares with the one before.
func (s *Store) Adopt(ctx context.Context) (incarnation, lastCommon int64, err error) {
	var home identity
	err = pgx.BeginTxFunc(ctx, s.cfg.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		s.queueLock(b)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		in, err := scanIdentity(tx.QueryRow(ctx, s.sql(selectIdentity)))
		if err != nil {
			return err
		}
		here, err := readPlace(ctx, tx)
		if err != nil {
			return err
		}
		if here != in.place {
			f := newFacts()
			b := &pgx.Batch{}
			s.queueHead(b, f)
			if err := tx.SendBatch(ctx, b).Close(); err != nil {
				return err
			}
			in.n, in.fromPosition, in.place = in.n+1, f.head.position, here
			_, err = tx.Exec(ctx, s.sql(insertIncarnation), in.n, in.log, in.fromPosition,
				here.systemIdentifier, here.timeline, here.databaseOID)
			if err != nil {
				return err
			}
		}
		failpoint.Hit(failpoint.AdoptWritten)
		home, incarnation, lastCommon = in, in.n, in.fromPosition
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("adopt the log: %w", translate(err))
	}
	failpoint.Hit(failpoint.AdoptDone)
	s.home.Store(&home)
	return incarnation, lastCommon, s.identify(ctx)
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
		// The lowest beginning of all lives since the token's.
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
