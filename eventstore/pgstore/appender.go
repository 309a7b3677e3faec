package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgerr"
)

// appender writes the batches of a process, one after the other, on a
// connection of its own. Its fields belong to its goroutine.
type appender struct {
	store   *Store
	drained chan struct{}
	conn    *session
	// mine is the end of the log as this appender left it. While the log still
	// ends there, streams holds.
	mine    *head
	streams *recent[string, stream]
}

func newAppender(s *Store) *appender {
	return &appender{store: s, drained: make(chan struct{}), streams: newRecent[string, stream](s.cfg.CacheStreams)}
}

// run writes batches until the queue is closed and empty.
func (a *appender) run() {
	defer close(a.drained)
	for {
		requests := a.store.queue.next()
		if requests == nil {
			break
		}
		a.write(requests)
	}
	a.disconnect()
}

// attempt is the state of a batch between its attempts.
type attempt struct {
	requests []*request
	// unsettled are plans whose commit may have happened, or may yet. Each is
	// guarded by the end of the log, so at most one of them ever lands.
	unsettled []*plan
	// slow says that the fast path is ruled out.
	slow  bool
	begun time.Time
	patience
}

// write writes a batch and answers all of its callers.
func (a *appender) write(requests []*request) {
	begun := time.Now()
	try := &attempt{requests: requests, begun: begun, patience: newPatience(a.store.cfg.RetryTimeout)}
	for {
		p, err := a.attempt(try)
		var unknown *unknownError
		switch {
		case err == nil:
			a.succeed(try.requests, p)
			a.observe(try, p, nil)
			return
		case errors.Is(err, errLate):
			try.slow = true
			continue
		case errors.As(err, &unknown):
			failpoint.Hit(failpoint.AppendUnknown)
			if len(try.unsettled) == 0 {
				try.deadline = time.Now().Add(a.store.cfg.SettleTimeout)
			}
			try.unsettled = append(try.unsettled, p)
		case pgerr.IsReadOnly(err) && !try.slow:
			// The session may have taken this over when it began, and keeps it.
			a.disconnect()
			try.slow = true
			continue
		case a.connected() && (len(try.unsettled) == 0 || pgerr.IsContent(err)):
			// What is refused as content now is refused of the unsettled plans
			// too: at this end of the log they say the same, at another they are
			// late.
			a.rollback()
			if try.slow || isLockTimeout(err) {
				a.observe(try, nil, err)
				a.fail(try.requests, err)
				return
			}
			try.slow = true
			continue
		}
		a.disconnect()
		if !try.again(err) {
			a.giveUp(try, err)
			a.observe(try, nil, err)
			return
		}
	}
}

func (a *appender) connected() bool { return a.conn != nil && !a.conn.IsClosed() }

func (a *appender) attempt(try *attempt) (*plan, error) {
	failpoint.Hit(failpoint.AppendBegin)
	ctx, cancel := context.WithTimeout(context.Background(), a.store.cfg.WriteTimeout)
	defer cancel()
	if !a.connected() {
		if err := a.connect(ctx, try.deadline); err != nil {
			return nil, err
		}
	}
	refs, missing, err := a.store.lookUp(try.requests)
	if err != nil {
		a.disconnect()
		return nil, err
	}
	if err := a.store.makeNames(ctx, a.conn, refs, missing); err != nil {
		return nil, err
	}
	// The guard tells an end of the log from another's, but not nothing from nothing.
	try.slow = try.slow || a.mine == nil || a.mine.position == 0 || len(try.unsettled) > 0
	var p *plan
	if try.slow {
		p, err = a.slowPath(ctx, refs, try)
	} else {
		p, err = a.fastPath(ctx, refs, try.requests)
	}
	if isLockTimeout(err) {
		err = a.store.explainLock(ctx, err)
	}
	return p, err
}

func (a *appender) connect(ctx context.Context, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(time.Second))
	defer cancel()
	conn, err := a.store.connect(ctx)
	if err != nil {
		return err
	}
	if err := a.store.checkIncarnationOf(ctx, conn); err != nil {
		closeConn(ctx, conn.Conn)
		return err
	}
	a.conn = conn
	return nil
}

func (a *appender) succeed(requests []*request, p *plan) {
	failpoint.Hit(failpoint.AppendCommitted)
	for name, st := range p.streams {
		a.streams.add(name, st)
	}
	end := p.end
	a.mine = &end
	// Readers of this process first: a caller that reads its own write finds
	// it without a look at the database.
	a.store.hub.appended(p.events)
	for i, r := range requests {
		r.done <- p.outcomes[i]
		failpoint.Hit(failpoint.AppendAnswered)
	}
}

// fail answers a batch that the database refused as a whole. A refusal for what
// is in the batch is pinned down to the request that holds it.
func (a *appender) fail(requests []*request, err error) {
	if len(requests) > 1 && pgerr.IsContent(err) {
		half := len(requests) / 2
		a.write(requests[:half])
		a.write(requests[half:])
		return
	}
	for _, r := range requests {
		r.done <- outcome{err: a.store.translateAppend(r, err)}
	}
}

func (a *appender) giveUp(try *attempt, err error) {
	if len(try.unsettled) > 0 {
		err = unsettled(err)
	} else {
		err = translate(err)
	}
	for _, r := range try.requests {
		r.done <- outcome{err: err}
	}
}

// forget drops what the appender remembers of streams.
func (a *appender) forget() {
	a.mine = nil
	a.streams.clear()
}

func (a *appender) rollback() {
	if a.conn.PgConn().TxStatus() == 'I' {
		return // it was one of the fast path, and has ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if _, err := a.conn.Exec(ctx, "ROLLBACK"); err != nil {
		a.disconnect()
	}
}

func (a *appender) disconnect() {
	if a.conn != nil {
		closeConn(context.Background(), a.conn.Conn)
		a.conn = nil
	}
}
