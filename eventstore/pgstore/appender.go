package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
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
	streams *simplelru.LRU[string, stream]
}

func newAppender(s *Store) *appender {
	// An error means a size below one, which Config rules out.
	streams, _ := simplelru.NewLRU[string, stream](s.cfg.CacheStreams, nil)
	return &appender{store: s, drained: make(chan struct{}), streams: streams}
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
	slow     bool
	deadline time.Time
}

// write writes a batch and answers all of its callers.
func (a *appender) write(requests []*request) {
	try := &attempt{requests: requests, deadline: time.Now().Add(a.store.cfg.RetryTimeout)}
	var pause backoff
	for {
		p, err := a.attempt(try)
		var unknown *unknownError
		switch {
		case err == nil:
			a.succeed(try.requests, p)
			return
		case errors.Is(err, errLate):
			try.slow = true
			continue
		case errors.As(err, &unknown):
			if len(try.unsettled) == 0 {
				try.deadline = time.Now().Add(a.store.cfg.SettleTimeout)
			}
			try.unsettled = append(try.unsettled, p)
		case a.connected() && len(try.unsettled) == 0:
			a.rollback()
			if try.slow || isLockTimeout(err) {
				a.fail(try.requests, err)
				return
			}
			try.slow = true
			continue
		}
		a.disconnect()
		if time.Now().After(try.deadline) || isPermanent(err) {
			a.giveUp(try, err)
			return
		}
		pause.wait()
	}
}

func (a *appender) connected() bool { return a.conn != nil && !a.conn.IsClosed() }

func (a *appender) attempt(try *attempt) (*plan, error) {
	ctx, cancel := context.WithTimeout(context.Background(), a.store.cfg.WriteTimeout)
	defer cancel()
	if !a.connected() {
		if err := a.connect(ctx, try.deadline); err != nil {
			return nil, err
		}
	}
	refs, err := a.store.resolve(ctx, a.conn, try.requests)
	if err != nil {
		return nil, err
	}
	try.slow = try.slow || a.mine == nil || len(try.unsettled) > 0
	var p *plan
	if try.slow {
		p, err = a.longWay(ctx, refs, try)
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
	if err := a.store.checkIdentity(ctx, conn); err != nil {
		closeConn(ctx, conn.Conn)
		return err
	}
	a.conn = conn
	return nil
}

// fastPath judges the batch by what the appender remembers and writes it in one
// round trip, guarded by the end of the log.
func (a *appender) fastPath(ctx context.Context, refs references, requests []*request) (*plan, error) {
	f, err := a.recall(ctx, requests)
	if err != nil {
		return nil, err
	}
	p := makePlan(f, refs, a.store.identity(), requests)
	if p.isEmpty() {
		// Refusals need the guard as much as writes do, and nothing would carry it.
		return nil, errLate
	}
	b := &pgx.Batch{}
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	a.store.queueLock(b)
	var now time.Time
	var late error
	a.store.queueWrite(b, p, &now, &late)
	b.Queue("COMMIT")
	if err := a.conn.commit(ctx, b); err != nil {
		return p, err
	}
	p.recordedAt(now)
	return p, late
}

// recall gathers facts without a lock. What is read here was read after this
// appender's last write, so the guard covers it as well as what is remembered.
func (a *appender) recall(ctx context.Context, requests []*request) (*facts, error) {
	f := newFacts()
	f.head = *a.mine
	var missing []string
	for _, r := range requests {
		for _, app := range r.appends {
			if st, ok := a.streams.Get(app.Stream); ok {
				f.streams[app.Stream] = st
			} else if app.Expected != eventstore.NoStream {
				missing = append(missing, app.Stream)
			}
			// A stream that must not exist is taken for new: if it is not, its
			// name is refused as a duplicate, and the long way follows.
		}
	}
	if len(missing) > 0 {
		b := &pgx.Batch{}
		a.store.queueStreams(b, f, missing)
		if err := a.conn.SendBatch(ctx, b).Close(); err != nil {
			return nil, err
		}
	}
	return f, a.store.loadKnown(ctx, a.conn, f, requests)
}

// longWay judges the batch by what is read under the lock. If unsettled is set
// it first finds out whether that plan was written after all.
func (a *appender) longWay(ctx context.Context, refs references, try *attempt) (*plan, error) {
	f := newFacts()
	b := &pgx.Batch{}
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	a.store.queueLock(b)
	var landed *plan
	for _, p := range try.unsettled {
		a.store.queueLanded(b, p, &landed)
	}
	a.store.queueFacts(b, f, try.requests)
	if err := a.conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	if a.mine == nil || *a.mine != f.head {
		a.forget()
	}
	commit := &pgx.Batch{}
	if landed != nil {
		// This commit waits for whatever the first one may have missed.
		commit.Queue("COMMIT")
		return landed, a.conn.commit(ctx, commit)
	}
	if err := a.store.loadKnown(ctx, a.conn, f, try.requests); err != nil {
		return nil, err
	}
	p := makePlan(f, refs, a.store.identity(), try.requests)
	var now time.Time
	var late error
	if !p.isEmpty() {
		a.store.queueWrite(commit, p, &now, &late)
	}
	commit.Queue("COMMIT")
	if err := a.conn.commit(ctx, commit); err != nil {
		return p, err
	}
	if late != nil {
		return nil, fmt.Errorf("%w: it moved while it was locked", eventstore.ErrCorrupt)
	}
	p.recordedAt(now)
	return p, nil
}

// queueFacts reads, under the lock, all that a batch is judged by, but for ids.
func (s *Store) queueFacts(b *pgx.Batch, f *facts, requests []*request) {
	var names []string
	for _, r := range requests {
		for _, app := range r.appends {
			names = append(names, app.Stream)
		}
	}
	s.queueHead(b, f)
	s.queueStreams(b, f, unique(names))
	s.queueReceipts(b, f, requests)
}

const selectLandedEvent = `
SELECT recorded_at FROM recount.events WHERE position = $1 AND id = $2`

const selectLandedReceipt = `
SELECT stored_at FROM recount.receipts
WHERE scope = $1 AND key = $2 AND fingerprint = $3 AND answer = $4 AND result = $5`

// queueLanded sets landed to p if it was committed. A plan without events is
// known by its first receipt: the key was unused when the plan was made.
func (s *Store) queueLanded(b *pgx.Batch, p *plan, landed **plan) {
	var query *pgx.QueuedQuery
	if last := len(p.positions) - 1; last >= 0 {
		query = b.Queue(s.sql(selectLandedEvent), p.positions[last], p.ids[last])
	} else if len(p.keys) > 0 {
		query = b.Queue(s.sql(selectLandedReceipt), p.scopes[0], p.keys[0], p.fingerprints[0], p.answers[0], p.results[0])
	} else {
		return
	}
	query.QueryRow(func(row pgx.Row) error {
		var at time.Time
		err := row.Scan(&at)
		switch {
		case err == nil:
			p.recordedAt(at)
			*landed = p
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		}
		return err
	})
}

func (p *plan) recordedAt(t time.Time) {
	for i := range p.events {
		p.events[i].RecordedAt = t.UTC()
	}
}

func (a *appender) succeed(requests []*request, p *plan) {
	for name, st := range p.streams {
		a.streams.Add(name, st)
	}
	end := p.end
	a.mine = &end
	// Readers of this process first: a caller that reads its own write finds
	// it without a look at the database.
	a.store.hub.appended(p.events)
	for i, r := range requests {
		r.done <- p.outcomes[i]
	}
}

// fail answers a batch that the database refused as a whole. A refusal for what
// is in the batch is pinned down to the request that holds it.
func (a *appender) fail(requests []*request, err error) {
	if len(requests) > 1 && isRefusedContent(err) {
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
	a.streams.Purge()
}

func (a *appender) rollback() {
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
