package pgstore

import (
	"context"
	"fmt"
	"strings"
	"time"
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

// noteRefusal remembers what became of the last batch: a database that is
// read-only or has no space left answers reads all the same.
func (s *Store) noteRefusal(err error) {
	switch {
	case err == nil:
		s.refused.Store(nil)
	case isReadOnly(err), strings.HasPrefix(sqlState(err), "53"):
		s.refused.Store(&refusal{translate(err), time.Now()})
	}
}

// CheckWritable reports whether the database takes writes: if it is read-only,
// or has refused the last append within 10 seconds for lack of space or memory,
// the error says so and matches eventstore.ErrUnavailable.
func (s *Store) CheckWritable(ctx context.Context) error {
	var readOnly bool
	err := s.cfg.Pool.QueryRow(ctx, "SELECT current_setting('transaction_read_only')::boolean").Scan(&readOnly)
	if err != nil {
		return fmt.Errorf("look whether the database takes writes: %w", translate(err))
	}
	if readOnly {
		return errReadOnly
	}
	return s.refused.Load().in(time.Now())
}
