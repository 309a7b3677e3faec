package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
)

// AppendCommit appends together with the caller's own rows: it locks the log,
// checks and writes the appends in tx, and commits tx as its last act. Whatever
// it returns, tx is over: an error means that it was rolled back, but for
// ErrOutcomeUnknown. Errors are those of AppendStreams.
//
// Tx must be at isolation level read committed, the default, and should be
// short: what it locked stays locked while it waits for the log.
func (s *Store) AppendCommit(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
	p, r, err := s.writeIn(ctx, tx, appends, opts)
	if err == nil {
		err = p.outcomes[0].err
	}
	if err != nil {
		rollback(ctx, tx)
		return nil, err
	}
	// From here on the caller's context must not end what may have happened.
	commitCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.WriteTimeout)
	defer cancel()
	if err := tx.Commit(commitCtx); err != nil {
		if err := s.settle(commitCtx, r, p, err); err != nil {
			return nil, err
		}
	}
	s.hub.appended(p.events)
	return p.outcomes[0].appended, nil
}

func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	// A connection that cannot roll back is closed, which does the same.
	_ = tx.Rollback(ctx)
}

// writeIn writes the appends in tx, which holds the lock of the log from then
// on.
func (s *Store) writeIn(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) (*plan, *request, error) {
	if err := s.cfg.Limits.Validate(appends, opts); err != nil {
		return nil, nil, err
	}
	r := newRequest(appends, opts.Receipt)
	requests := []*request{r}
	refs, err := s.resolve(ctx, s.cfg.Pool, requests)
	if err != nil {
		return nil, r, translate(err)
	}
	var isolation string
	if err := tx.QueryRow(ctx, "SELECT current_setting('transaction_isolation')").Scan(&isolation); err != nil {
		return nil, r, translate(err)
	}
	if isolation != "read committed" {
		return nil, r, &eventstore.InvalidError{Field: "tx", Reason: "must be at isolation level read committed, it is at " + isolation}
	}
	if err := s.checkIdentity(ctx, tx); err != nil {
		return nil, r, translate(err)
	}
	f := newFacts()
	b := &pgx.Batch{}
	s.queueLock(b)
	s.queueFacts(b, f, requests)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		if isLockTimeout(err) {
			err = s.explainLock(ctx, err)
		}
		return nil, r, translate(err)
	}
	if err := s.loadKnown(ctx, tx, f, requests); err != nil {
		return nil, r, translate(err)
	}
	p := makePlan(f, refs, s.identity(), requests)
	if p.isEmpty() {
		return p, r, nil
	}
	var now time.Time
	var late error
	b = &pgx.Batch{}
	s.queueWrite(b, p, &now, &late)
	if err := errors.Join(tx.SendBatch(ctx, b).Close(), late); err != nil {
		return nil, r, s.translateAppend(r, err)
	}
	p.recordedAt(now)
	return p, r, nil
}

// settle finds out whether p, whose commit returned cause, is in the log. The
// transaction held the lock, so once another one holds it, p is there for good
// or never will be.
func (s *Store) settle(ctx context.Context, r *request, p *plan, cause error) error {
	var refused *pgconn.PgError
	if errors.As(cause, &refused) && refused.SeverityUnlocalized == "ERROR" {
		return s.translateAppend(r, cause)
	}
	if errors.Is(cause, pgx.ErrTxCommitRollback) || errors.Is(cause, pgx.ErrTxClosed) {
		return translate(cause)
	}
	if p.isEmpty() {
		// Nothing of ours tells whether the caller's rows are there.
		return unsettled(cause)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return unsettled(err)
	}
	defer closeConn(ctx, conn.Conn)
	var landed *plan
	b := &pgx.Batch{}
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	s.queueLock(b)
	s.queueLanded(b, p, &landed)
	b.Queue("COMMIT")
	switch err := conn.commit(ctx, b); {
	case err != nil:
		return unsettled(err)
	case landed == nil:
		return fmt.Errorf("%w: the commit was lost, nothing was written: %w", eventstore.ErrUnavailable, cause)
	}
	return nil
}
