package delivery

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// idler is a Target that has something to do when nothing has come for a partition for a time.
type idler interface {
	Transactional
	idleAfter() time.Duration
	// idle does it in tx, and returns after how long it is to be called again; 0: not before something has come.
	idle(ctx context.Context, tx Tx, partition int) (again time.Duration, err error)
}

// armIdle lets the target be called after a time, unless something comes.
func (p *partition) armIdle(after time.Duration) {
	if p.of.idler == nil || after <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
	case p.idleTimer == nil:
		p.idleTimer = time.AfterFunc(after, p.whenIdle)
	default:
		p.idleTimer.Reset(after)
	}
}

// whenIdle calls the target if there is nothing to deliver up to the end of the log.
func (p *partition) whenIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.of.runner
	status := p.core.Status()
	switch {
	case p.gone || p.leaving != "":
	case !r.mayBegin(time.Now()) || !p.idle(&status):
		// It is not idle yet, or was just taken: what is due waits no longer than it must.
		p.idleTimer.Reset(min(p.of.idler.idleAfter(), time.Second))
	default:
		r.attempts.Go(func() {
			again, err := p.idleInTx()
			if err != nil && p.ctx.Err() == nil {
				r.config.Logger.Warn().Err(err).Str("subscription", p.of.name).Msg("what is to be done while nothing comes was interrupted")
				again = time.Second
			}
			p.armIdle(again)
		})
	}
}

// stillOwnSQL locks the partition if it is still the owner's.
const stillOwnSQL = `
SELECT FROM {schema}.subscription_partitions p
WHERE p.subscription = $3 AND p.partition = $4 AND p.epoch = $5 AND p.log_id = $1 AND p.incarnation = $2 FOR NO KEY UPDATE`

// idleInTx calls the target in a transaction that is committed if the partition is still this process'.
func (p *partition) idleInTx() (again time.Duration, err error) {
	r := p.of.runner
	select {
	case r.transactions <- struct{}{}:
		defer func() { <-r.transactions }()
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.of.timeout)
	defer cancel()
	var last lastSteps
	err = r.records.inTx(ctx, func(tx pgx.Tx) (err error) {
		defer recoverTo(&err)
		if again, err = p.of.idler.idle(ctx, handlerTx{tx, &last}, p.Partition); err != nil {
			return err
		}
		at := *r.log.Load()
		tag, err := tx.Exec(ctx, r.records.sql(stillOwnSQL), at.Log, at.Incarnation, p.Subscription, p.Partition, p.Epoch)
		if err == nil && tag.RowsAffected() == 0 {
			err = errLost
		}
		if err != nil {
			return err
		}
		return last.do(ctx, tx)
	})
	if err == nil {
		last.done()
	}
	return again, err
}

// lastSteps are what is done as the last of a transaction, and when it is committed.
type lastSteps struct {
	steps     []func(ctx context.Context, tx pgx.Tx) (committed func(), err error)
	committed []func()
}

func (l *lastSteps) do(ctx context.Context, tx pgx.Tx) error {
	for _, step := range l.steps {
		committed, err := step(ctx, tx)
		if err != nil {
			return err
		}
		l.committed = append(l.committed, committed)
	}
	return nil
}

func (l *lastSteps) done() {
	for _, f := range l.committed {
		f()
	}
}
