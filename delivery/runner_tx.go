package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgerr"
)

// Transactional is a Target whose effects are in the database of the log. They are made in the transaction that moves
// the cursor, so that each event has its effect once.
type Transactional interface {
	Target
	// DeliverTx is Deliver with effects in tx only. Nil says that all events are delivered; after an error nothing
	// of what was done stays. It is called again with parts of the events to find which they failed for.
	DeliverTx(ctx context.Context, tx Tx, d *Delivery) error
}

const (
	// savepoints is how many events are tried one by one in a transaction at most: PostgreSQL keeps as many
	// subtransactions of a session in memory.
	savepoints = 64
	// maxConflicts is how often a transaction of several events is tried that meets others.
	maxConflicts = 3
	// closeTimeout bounds what ends a transaction whose caller may be gone.
	closeTimeout = 5 * time.Second
	savepointSQL = `SAVEPOINT delivery_event`
	undoSQL      = `ROLLBACK TO SAVEPOINT delivery_event`
	keepSQL      = `RELEASE SAVEPOINT delivery_event`
	// settleSQL lets deferred constraints speak before the events count as delivered.
	settleSQL = `SET CONSTRAINTS ALL IMMEDIATE`
	// See settings: these are for the move, which comes last.
	moveSettings = `SELECT set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true)`
	effectsSQL   = `
INSERT INTO {schema}.subscription_effects (subscription, message_id)
SELECT $1, unnest($2::text[]::uuid[]) ON CONFLICT DO NOTHING RETURNING message_id`
)

// tryInTx makes an attempt in the transaction that moves the cursor. What is about the database and not about the events
// is tried again, for as long as the partition is here: nobody is charged. It begins the next as try does.
func (p *partition) tryInTx(a *core.Attempt) (next *core.Attempt) {
	begun := a.Began
	d := p.delivery(a)
	kind, n := a.Kind, len(a.Items)
	backoff, conflicts := background.Backoff{}, 0
	for {
		t := &txAttempt{p: p, a: a, d: d}
		err := p.ctx.Err()
		if err == nil {
			t.lookUp()
			err = t.run(false)
		}
		if n > 1 && n <= savepoints && p.of.eachByItself && isAboutEvents(err) {
			err = t.run(true)
		}
		if pgerr.Is(err, pgerr.Deadlock, pgerr.SerializationFailure) {
			conflicts++
		}
		// Of what fails as a whole nothing stays, whatever part of it the target says failed, and core has it made again
		// in halves; so it does with what meets others again and again.
		whole := isAboutEvents(err) || conflicts >= maxConflicts && n > 1 && p.of.config.Bisect
		if !t.ended && (whole || p.ctx.Err() != nil) {
			t.results, t.ended = []core.Result{p.of.resultOf(err)}, true
			next = p.ended(time.Now(), a, t.results)
		}
		if t.ended {
			p.record(d, kind, t.results, begun, time.Now(), err)
			if p.of.idler != nil {
				p.armIdle(p.of.idler.idleAfter())
			}
			if next == nil {
				next = p.begin()
			}
			return next
		}
		pause := backoff.Next()
		p.of.runner.config.Logger.Warn().Err(err).Str("subscription", p.of.name).Dur("pause", pause).Msg("a transaction was interrupted")
		background.Sleep(p.ctx, pause)
	}
}

// isAboutEvents reports whether an error of a transaction is about its events, as opposed to the connection, the server
// or others at work.
func isAboutEvents(err error) bool {
	if own := new(handlerError); !errors.As(err, &own) {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || pgerr.Code(err) == "" && !errors.Is(err, errConnection) ||
		pgerr.IsStatement(err) || pgerr.Is(err, pgerr.TransactionAborted)
}

// handlerError is an error that a target returned.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

var errConnection = errors.New("the connection to the database was lost")

// txAttempt is one transaction of an attempt.
type txAttempt struct {
	p       *partition
	a       *core.Attempt
	d       *Delivery
	results []core.Result
	last    lastSteps
	// ended: core knows the results, and the attempt is not to be used any more.
	ended bool
}

// run makes the attempt in one transaction, one event after another if it is to be careful. If the error is nil it is committed.
// Else nothing stays, or nobody knows: then the partition is lost.
func (t *txAttempt) run(careful bool) error {
	p := t.p
	t.last = lastSteps{}
	select {
	case p.of.runner.transactions <- struct{}{}:
		defer func() { <-p.of.runner.transactions }()
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	p.restarted(t.a)
	ctx, cancel := context.WithTimeout(p.ctx, p.of.txTimeout)
	defer cancel()
	// Of a process that froze the server ends the transaction: others wait for what it has locked.
	begin := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = %d", p.of.txTimeout.Milliseconds())
	tx, err := p.of.runner.config.Pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = tx.Rollback(ctx) // after a commit it does nothing
	}()
	events, err := t.fresh(ctx, tx)
	if err != nil {
		return err
	}
	events, failed := t.found(events)
	switch {
	case len(failed) > 0 && len(t.d.Events) == 1:
		err = &handlerError{failed[0]}
	case careful:
		var more map[int]error
		more, err = t.oneByOne(ctx, tx, events)
		maps.Copy(failed, more)
	case len(events) > 0:
		err = t.call(ctx, tx, events)
	}
	if err != nil {
		return err
	}
	return t.commit(ctx, tx, failed)
}

// lookUp finds what is to be beside the events, outside of any transaction.
func (t *txAttempt) lookUp() {
	with, ok := t.p.of.tx.(*preparedTx)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(t.p.ctx, t.p.of.timeout)
	defer cancel()
	with.lookUp(ctx, t.d)
}

// found returns those of the events whose lookups did not fail, and why the others are not to be delivered: for that, or behind one of their key.
func (t *txAttempt) found(events []int) (found []int, failed map[int]error) {
	failed = make(map[int]error)
	held := make(map[string]bool)
	for _, i := range events {
		switch e := &t.d.Events[i]; {
		case held[e.Key]:
			failed[i] = errNotTried
		case e.looked != nil && e.looked.err != nil:
			failed[i], held[e.Key] = e.looked.err, true
		default:
			found = append(found, i)
		}
	}
	return found, failed
}

// fresh returns the events that have not had their effect before, by their index, as far as that is remembered.
func (t *txAttempt) fresh(ctx context.Context, tx pgx.Tx) ([]int, error) {
	all := make([]int, 0, len(t.d.Events))
	if !t.p.of.remembers {
		for i := range t.d.Events {
			all = append(all, i)
		}
		return all, nil
	}
	// As text: not every way to send parameters knows what a list of other values is written as.
	ids, index := make([]string, len(t.d.Events)), make(map[uuid.UUID]bool, len(t.d.Events))
	for i := range t.d.Events {
		ids[i] = t.d.Events[i].MessageID.String()
	}
	rows, err := tx.Query(ctx, t.p.of.runner.records.sql(effectsSQL), t.p.of.effects, ids)
	if err != nil {
		return nil, err
	}
	var id uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { index[id] = true; return nil }); err != nil {
		return nil, err
	}
	for i := range t.d.Events {
		if index[t.d.Events[i].MessageID] {
			all = append(all, i)
		}
	}
	return all, nil
}

// call calls the target with some of the events, and makes sure that what it did can be committed.
func (t *txAttempt) call(ctx context.Context, tx pgx.Tx, events []int) error {
	d := t.d
	if len(events) < len(d.Events) {
		part := *d
		part.Events = make([]Event, len(events))
		for i, at := range events {
			part.Events[i] = d.Events[at]
		}
		d = &part
	}
	err := func() (err error) {
		defer recoverTo(&err)
		return t.p.of.tx.DeliverTx(ctx, handlerTx{tx, &t.last}, d)
	}()
	switch status := tx.Conn().PgConn().TxStatus(); {
	case t.isOver(ctx):
		return t.tooLong(err)
	case tx.Conn().IsClosed():
		return errors.Join(errConnection, err)
	case err != nil:
		return &handlerError{err}
	case status == 'E':
		return &handlerError{errors.New("the handler returned nil although a statement of it was refused; return the error, or use a savepoint")}
	case status != 'T':
		return &handlerError{errors.New("the handler ended the transaction, which is not its own")}
	}
	if _, err = tx.Exec(ctx, settleSQL); err != nil {
		return &handlerError{err}
	}
	return nil
}

// isOver reports whether the time of the transaction is over.
func (t *txAttempt) isOver(ctx context.Context) bool { return ctx.Err() != nil && t.p.ctx.Err() == nil }

func (t *txAttempt) tooLong(err error) error {
	return &handlerError{fmt.Errorf("it took longer than %s: %w", t.p.of.txTimeout, errors.Join(context.DeadlineExceeded, err))}
}

// about returns an error of a statement that is the runner's, as one about the events if they took too long.
func (t *txAttempt) about(ctx context.Context, err error) error {
	if t.isOver(ctx) {
		return t.tooLong(err)
	}
	return err
}

// oneByOne calls the target with one event after another, and returns which failed. Nothing of those stays. Behind one that
// failed those of its key are not tried.
func (t *txAttempt) oneByOne(ctx context.Context, tx pgx.Tx, events []int) (failed map[int]error, err error) {
	failed = make(map[int]error)
	held := make(map[string]bool)
	for _, i := range events {
		if key := t.d.Events[i].Key; held[key] {
			failed[i] = errNotTried
			continue
		}
		if _, err := tx.Exec(ctx, savepointSQL); err != nil {
			return nil, t.about(ctx, err)
		}
		steps := len(t.last.steps)
		err, end := t.call(ctx, tx, []int{i}), keepSQL
		if err != nil {
			t.last.steps = t.last.steps[:steps]
			if !isAboutEvents(err) {
				return nil, err
			}
			failed[i], held[t.d.Events[i].Key], end = err, true, undoSQL
		}
		switch _, ended := tx.Exec(ctx, end); {
		case ended != nil && err != nil:
			// It cannot be undone alone: its time is over, or it has left the connection unusable.
			return nil, err
		case ended != nil:
			return nil, t.about(ctx, ended)
		}
	}
	return failed, nil
}

// commit lets core know what became of the events, writes that in the transaction and commits it.
func (t *txAttempt) commit(ctx context.Context, tx pgx.Tx, failed map[int]error) error {
	p := t.p
	if err := p.ctx.Err(); err != nil {
		return err
	}
	var err error
	if len(failed) > 0 {
		err = &PartialError{Failed: failed}
		// What was remembered of those that failed is not true.
		if p.of.remembers {
			if err := t.forget(ctx, tx, failed); err != nil {
				return err
			}
		}
	}
	t.results = p.of.resultsOf(len(t.a.Items), err)
	t.ended = true
	m, ok := p.endedInTx(t.a, t.results)
	if !ok {
		return err
	}
	if _, err := tx.Exec(ctx, moveSettings); err != nil {
		p.moved(m, false)
		return err
	}
	moved := p.of.runner.records.moveInTx(ctx, tx, *p.of.runner.log.Load(), m.move)
	if moved == nil {
		moved = t.last.do(ctx, tx)
	}
	if moved == nil {
		moved = tx.Commit(ctx)
	}
	if moved == nil {
		t.last.done()
	}
	p.moved(m, moved == nil)
	if moved != nil {
		return moved
	}
	return err
}

const forgetEffectsSQL = `DELETE FROM {schema}.subscription_effects WHERE subscription = $1 AND message_id = ANY($2::text[]::uuid[])`

func (t *txAttempt) forget(ctx context.Context, tx pgx.Tx, failed map[int]error) error {
	ids := []string{}
	for i := range failed {
		ids = append(ids, t.d.Events[i].MessageID.String())
	}
	_, err := tx.Exec(ctx, t.p.of.runner.records.sql(forgetEffectsSQL), t.p.of.effects, ids)
	return err
}

// handlerTx is the transaction as a target gets it: it cannot end it.
type handlerTx struct {
	tx   pgx.Tx
	last *lastSteps
}

func (t handlerTx) beforeCommit(f func(context.Context, pgx.Tx) (func(), error)) {
	t.last.steps = append(t.last.steps, f)
}

func (t handlerTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.tx.Exec(ctx, sql, args...)
}

func (t handlerTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.tx.Query(ctx, sql, args...)
}

func (t handlerTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.tx.QueryRow(ctx, sql, args...)
}

func (t handlerTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.tx.SendBatch(ctx, b)
}

func (t handlerTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return t.tx.CopyFrom(ctx, table, columns, rows)
}
