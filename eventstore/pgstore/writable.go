package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgerr"
)

// refusalHolds is for how long appends count as refused after the last one was.
// Whoever looks before sending more would otherwise send none, and none would
// tell that it is over.
const refusalHolds = 10 * time.Second

// refusal is why the database took no batch.
type refusal struct {
	err error
	at  time.Time
}

// in returns the error while it holds.
func (r *refusal) in(now time.Time) error {
	if r == nil || now.Sub(r.at) >= refusalHolds {
		return nil
	}
	return r.err
}

// noteRefusal remembers what became of a batch that was to be written: a database
// that has no space left answers reads all the same.
func (s *Store) noteRefusal(err error) {
	switch {
	case err == nil:
		s.refused.Store(nil)
	case pgerr.IsNoResource(err):
		s.refused.Store(&refusal{translate(err), time.Now()})
	}
}

// CheckWritable reports whether the database takes writes: if it is read-only,
// or has refused the last append within 10 seconds for lack of space or memory,
// the error says so and matches eventstore.ErrUnavailable. An append that it
// takes ends that at once.
//
// A session keeps for good whether the database was read-only when it began. If
// the pool has such ones from a time that is over, all of its are replaced.
func (s *Store) CheckWritable(ctx context.Context) error {
	readOnly, err := s.readOnly(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("look whether the database takes writes: %w", translate(err))
	case readOnly:
		return errReadOnly
	}
	return s.refused.Load().in(time.Now())
}

// readOnly reports whether the database is. It holds a session of the
// pool until a new one has answered: there are never more new ones than those.
func (s *Store) readOnly(ctx context.Context) (readOnly bool, err error) {
	err = s.cfg.Pool.AcquireFunc(ctx, func(held *pgxpool.Conn) (err error) {
		if readOnly, err = readsOnly(ctx, held); err != nil || !readOnly {
			return err
		}
		if readOnly, err = s.newReadsOnly(ctx); err == nil && !readOnly {
			s.cfg.Pool.Reset()
		}
		return err
	})
	return readOnly, err
}

// newReadsOnly is readsOnly of a session that begins now.
func (s *Store) newReadsOnly(ctx context.Context) (bool, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer closeConn(ctx, conn.Conn)
	return readsOnly(ctx, conn)
}

func readsOnly(ctx context.Context, db rowQuerier) (readOnly bool, err error) {
	err = db.QueryRow(ctx, "SELECT current_setting('transaction_read_only')::boolean").Scan(&readOnly)
	return readOnly, err
}
