package projections

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
)

// worker runs one projection of a runner, whenever this process may.
type worker struct {
	runner     *Runner
	projection Projection
	runs       projector
	generation generation
	progress   *progress
	// wake ends the wait for a lease.
	wake chan struct{}
	log  zerolog.Logger
	// applied is told of each batch that was applied, and says whether the session goes on. It is nil
	// for a generation that serves.
	applied func(context.Context, *generationLease, eventstore.Batch) (ending, error)
	// from is where the session began.
	from eventstore.Token
	// beyond is the place that another program has to bring the rows to before this one can go on: the
	// end of an append that it cannot read.
	beyond eventstore.Token
	counts counts
}

// ending is how a session ended.
type ending int

const (
	// goesOn: it has not ended.
	goesOn ending = iota
	// interrupted: by an error that may pass. The lease is kept: this process is as likely as any to
	// be the next that can go on.
	interrupted
	// notTaken: it did not begin, as another process has the lease, or the projection is paused, has
	// failed or was replaced.
	notTaken
	// lost: another process took the lease, or moved the checkpoint.
	lost
	// paused: by an operator.
	paused
	// failed: on an event, or on the log. Why is in the generation's record.
	failed
	// stoodAside: before an event that this program cannot read, and another may.
	stoodAside
	// stopped: this process is to stop.
	stopped
	// arrived: the generation has come as far as it was to.
	arrived
	// movedOn: the lease has moved on beside the session's subscription; another session goes on.
	movedOn
)

// outcome is what became of a session.
type outcome struct {
	ending ending
	// moved says that the checkpoint did.
	moved bool
	// err is why it was interrupted, or stood aside.
	err error
}

func newWorker(r *Runner, p Projection, runs projector) *worker {
	return &worker{
		runner:     r,
		projection: p,
		runs:       runs,
		progress:   newProgress(),
		wake:       make(chan struct{}, 1),
		log:        r.config.Logger.With().Str("projection", p.Name()).Int("version", p.Version()).Logger(),
	}
}

// run runs the projection until soft is done. What is being written then is finished, unless hard
// is done too.
func (w *worker) run(soft, hard context.Context) {
	loop := background.Loop{
		Idle: w.runner.config.PollInterval,
		Wake: w.wake,
		Failed: func(err error, pause time.Duration) {
			w.counts.interruptions.Add(1)
			w.log.Warn().Err(err).Dur("again_in_ms", pause).Msg("projection is interrupted")
		},
	}
	// The end of soft is no error.
	_ = loop.Run(soft, func(context.Context) (background.Next, error) { return w.serve(soft, hard) })
}

// serve runs a session on the generation that serves the projection's version now. If that is
// another one afterwards, the next session begins at once.
func (w *worker) serve(soft, hard context.Context) (background.Next, error) {
	// The records are gone if the database was migrated down meanwhile. They are made anew when it is
	// up again.
	g, err := w.runner.catalog.ensure(hard, w.runner.config, w.projection, w.runs)
	if err != nil || g.number == 0 { // it is built on command
		return background.Idle, err
	}
	if w.beyond.Position > 0 {
		head, err := w.runner.config.Store.Head(hard)
		if err != nil {
			return background.Idle, err
		}
		if g.number != w.generation.number || !head.SameIncarnation(w.beyond) {
			w.beyond = eventstore.Token{} // the append is not to come for these rows, or not any more
		}
	}
	w.generation = g
	o := w.session(soft, hard)
	next := background.Idle
	if o.moved {
		next = background.Again
	}
	if o.ending == interrupted || soft.Err() != nil {
		return next, o.err
	}
	now, err := w.runner.catalog.serving(hard, w.runner.config.Pool, w.projection, w.runs)
	if err != nil && !isNoRows(err) {
		return next, err
	}
	if now.number != g.number {
		return background.Again, nil
	}
	return background.Idle, nil
}

// session runs the projection from taking the lease to losing it, or to an error.
func (w *worker) session(soft, hard context.Context) outcome {
	failpoint.HitIn(hard, failpoint.LeaseLooked)
	l, err := w.runner.catalog.acquire(hard, w.generation, w.applied == nil, w.runner.owner, w.runner.config.LeaseTTL, w.beyond.Position,
		keepsOf(w.runs))
	if errors.Is(err, lease.ErrTaken) {
		return outcome{ending: notTaken}
	}
	if err != nil {
		return outcome{ending: interrupted, err: err}
	}
	w.from = l.checkpoint.Token
	w.log.Info().Int("generation", w.generation.number).Int64("position", w.from.Position).Msg("projection runs here")
	w.progress.set(true, w.from)
	ends, err := w.follow(soft, hard, l)
	w.progress.set(false, eventstore.Token{})
	ends, err = w.end(hard, l, ends, err)
	return outcome{ending: ends, moved: l.checkpoint.Token != w.from, err: err}
}

// end leaves the generation as the next session should find it.
func (w *worker) end(hard context.Context, l *generationLease, ends ending, err error) (ending, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), time.Second)
	defer cancel()
	switch ends {
	case failed:
		switch failErr := l.fail(ctx, l.catalog.pool, err); {
		case errors.Is(failErr, lease.ErrLost):
			return lost, nil
		case failErr != nil:
			return interrupted, failErr
		}
		w.counts.stops.Add(1)
		reason := reasonOf(err)
		w.log.Error().Err(err).Str("reason", string(reason)).
			Str("hint", w.runner.catalog.operations.Hint(reason, w.projection.Name())).Msg("projection stopped")
		return failed, nil
	case stoodAside:
		w.beyond, _ = w.runner.config.Store.Head(ctx) // without it the next session finds out anew
		w.beyond.Position = l.checkpoint.Token.Position + 1
		var at *eventError
		if errors.As(err, &at) {
			w.beyond.Position = at.event.AppendEnd
		}
		w.counts.standAsides.Add(1)
		w.log.Warn().Err(err).Msg("projection needs a newer program, this one stands aside")
		return stoodAside, errors.Join(err, l.standAside(ctx, err))
	case interrupted:
		return interrupted, errors.Join(err, l.recordTrouble(ctx, err))
	}
	w.log.Info().Int64("position", l.checkpoint.Token.Position).Msg("projection no longer runs here")
	if err := l.release(ctx); err != nil {
		w.log.Warn().Err(err).Msg("lease is not given back, it has to expire")
	}
	return ends, nil
}

// endingFor returns how a session ends that an error ends.
func endingFor(err error) ending {
	var at *eventError
	switch {
	case isUnknownSchema(err):
		return stoodAside
	case errors.As(err, &at) || isLogError(err):
		return failed
	case lease.IsAway(err):
		return lost
	case errors.Is(err, errPaused):
		return paused
	case errors.Is(err, context.Canceled):
		return stopped
	}
	return interrupted
}

// follow applies the log from the lease's checkpoint on, until the session ends.
func (w *worker) follow(soft, hard context.Context, l *generationLease) (ending, error) {
	ctx, stop := lease.Keep(soft, l.TTL, func(ctx context.Context) error { return w.renew(ctx, l) })
	var aligning sync.WaitGroup
	if w.applied == nil {
		aligning.Go(func() { w.alignIndexes(ctx) })
	}
	defer func() { stop(); aligning.Wait() }()

	batches := w.runner.config.Store.Subscribe(ctx, eventstore.ReadOptions{
		After:    l.checkpoint.Token,
		PageSize: w.runner.config.BatchSize,
		Filter:   w.runner.knows.filter(w.runs.types()),
	})
	var movedAt time.Time
	for batch, err := range batches {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return endingFor(err), err
		}
		if batch.Events, err = w.runner.knows.pick(ctx, batch.Events); err != nil {
			return endingFor(err), err
		}
		// While there is more to come, pages without events need not each have a transaction.
		atHead := batch.Next > batch.Head.Position
		if len(batch.Events) == 0 && !atHead && time.Since(movedAt) < time.Second {
			continue
		}
		begun := time.Now()
		if err := w.apply(hard, l, batch.Events, batch.Token()); err != nil {
			return endingFor(err), err
		}
		movedAt = time.Now()
		if w.applied != nil {
			ends, err := w.applied(ctx, l, batch)
			if err != nil {
				return endingFor(err), err
			}
			if ends != goesOn {
				return ends, nil
			}
		}
		if atHead {
			w.progress.gather(ctx, movedAt.Sub(begun))
		}
	}
	err := context.Cause(ctx)
	if err == nil {
		err = errors.New("the subscription ended by itself")
	}
	return endingFor(err), err
}

// renew renews the lease, and makes the view show the generation once it belongs there.
func (w *worker) renew(ctx context.Context, l *generationLease) error {
	inView, err := l.renew(ctx)
	switch {
	case errors.Is(err, lease.ErrLost), errors.Is(err, errPaused):
		return err
	case err != nil:
		w.log.Warn().Err(err).Msg("lease is not renewed")
	case inView:
		w.publishView(ctx, l)
	}
	return nil
}

func (w *worker) publishView(ctx context.Context, l *generationLease) {
	shown, err := w.runner.catalog.publishView(ctx, l.generation)
	switch {
	case err != nil:
		w.log.Warn().Err(err).Msg("view cannot be changed over")
	case shown:
		w.log.Info().Int("generation", l.generation.number).Msg("view shows this generation")
	}
}
