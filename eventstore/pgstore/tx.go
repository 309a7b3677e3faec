package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// AppendCommit appends together with the caller's own rows: it locks the log,
// checks and writes the appends in tx, and commits tx as its last act. Whatever
// it returns, tx is over: an error means that it was rolled back, but for
// ErrOutcomeUnknown. Errors are those of AppendStreams, and what the database
// says of the caller's own rows at the commit.
//
// Tx must not be nested in another transaction and must be at isolation level
// read committed, the default. It should be short: what it locked stays locked
// while it waits for the log.
func (s *Store) AppendCommit(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) (appended []eventstore.Appended, err error) {
	begun := time.Now()
	defer func() { s.observeAppend(begun, countEvents(appends), err) }()
	if err := s.validate(appends, opts); err != nil {
		rollback(ctx, tx)
		return nil, err
	}
	p, err := s.writeIn(ctx, tx, []*request{newRequest(appends, opts.Receipt)})
	if err == nil {
		err = p.outcomes[0].err
	}
	if err != nil {
		rollback(ctx, tx)
		return nil, err
	}
	failpoint.Hit(failpoint.TxWritten)
	// From here on the caller's context must not end what may have happened.
	commitCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.WriteTimeout)
	defer cancel()
	if err := tx.Commit(commitCtx); err != nil {
		failpoint.Hit(failpoint.TxUnknown)
		if err := s.settle(commitCtx, p, err); err != nil {
			return nil, err
		}
	}
	failpoint.Hit(failpoint.TxCommitted)
	s.hub.appended(p.events)
	return p.outcomes[0].appended, nil
}

// AppendIn writes each of the appends by itself in tx, and leaves the commit to the caller, who does it soon: the log is locked until then, and
// nobody else appends. What became of each is in their order in done, or in refused, where it is not nil: the others stand. If err is not nil
// tx is to be rolled back. Committed is to be called once tx is committed: it lets readers of this process know at once.
//
// It may be called again in the same transaction. For tx there is what AppendCommit wants.
func (s *Store) AppendIn(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend) (done []eventstore.Appended, refused []error, committed func(), err error) {
	begun := time.Now()
	done, refused = make([]eventstore.Appended, len(appends)), make([]error, len(appends))
	var requests []*request
	var index []int // of requests in appends
	for i := range appends {
		if refused[i] = s.cfg.Limits.Validate(appends[i:i+1], eventstore.AppendOptions{}); refused[i] == nil {
			requests, index = append(requests, newRequest(appends[i:i+1], nil)), append(index, i)
		}
	}
	if len(requests) == 0 {
		return done, refused, func() {}, nil
	}
	p, err := s.writeIn(ctx, tx, requests)
	if err != nil {
		s.observeAppend(begun, countEvents(appends), err)
		return nil, nil, nil, err
	}
	events := 0
	for n, o := range p.outcomes {
		i := index[n]
		if refused[i] = o.err; o.err == nil {
			done[i] = o.appended[0]
			events += len(appends[i].Events)
		}
	}
	return done, refused, func() {
		s.hub.appended(p.events)
		if events > 0 {
			s.observeAppend(begun, events, nil)
		}
	}, nil
}

func countEvents(appends []eventstore.StreamAppend) (n int) {
	for _, a := range appends {
		n += len(a.Events)
	}
	return n
}

func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	// A connection that cannot roll back is closed, which does the same.
	_ = tx.Rollback(ctx)
}

// writeIn writes what is asked for in tx, which holds the lock of the log from then
// on.
func (s *Store) writeIn(ctx context.Context, tx pgx.Tx, requests []*request) (*plan, error) {
	// The caller's context may have no deadline, and LockTimeout is about the row
	// alone: not about one who has locked the table.
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if err := s.usable(); err != nil {
		return nil, err
	}
	refs, err := s.resolve(ctx, requests)
	if err != nil {
		return nil, translate(err)
	}
	var isolation string
	if err := tx.QueryRow(ctx, "SELECT current_setting('transaction_isolation')").Scan(&isolation); err != nil {
		return nil, translate(err)
	}
	if isolation != "read committed" {
		return nil, &eventstore.InvalidError{Field: "tx", Reason: "must be at isolation level read committed, it is at " + isolation}
	}
	if err := s.checkIncarnationOf(ctx, tx); err != nil {
		return nil, translate(err)
	}
	f := newFacts()
	b := &pgx.Batch{}
	s.queueLock(b)
	s.queueFacts(b, f, requests)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		if isLockTimeout(err) {
			err = s.explainLock(ctx, err)
		}
		return nil, translate(err)
	}
	if err := s.loadKnown(ctx, tx, f, requests); err != nil {
		return nil, translate(err)
	}
	failpoint.Hit(failpoint.TxLocked)
	p := makePlan(f, refs, *s.adopted.Load(), requests)
	if p.isEmpty() {
		return p, nil
	}
	var now time.Time
	var late error
	b = &pgx.Batch{}
	s.queueWrite(b, p, &now, &late)
	if err := errors.Join(tx.SendBatch(ctx, b).Close(), late); err != nil {
		return nil, s.translateAppend(requests[0], err)
	}
	p.recordedAt(now)
	return p, nil
}

// resolve returns the dictionary ids of requests. The connection that it makes
// for new names is not of the pool: all of that may be in the hands of callers
// who are here to wait for it.
func (s *Store) resolve(ctx context.Context, requests []*request) (references, error) {
	refs, missing, err := s.lookUp(requests)
	if err != nil || missing.isEmpty() {
		return refs, err
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return refs, err
	}
	defer closeConn(ctx, conn.Conn)
	if err := s.checkIncarnationOf(ctx, conn); err != nil {
		return refs, err
	}
	return refs, s.makeNames(ctx, conn, refs, missing)
}
