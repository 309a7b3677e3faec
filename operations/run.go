package operations

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
)

// Work does one operation in this process.
type Work interface {
	// Do does what the operation is for, from where another process left it, and returns its result.
	// It ends when ctx does: that the claim is lost, or the operation cancelled, is then the cause.
	Do(ctx context.Context, c *Claim, m *Meter) (result any, err error)
	// IsPermanent reports whether an error of Do would come again: it ends the operation.
	IsPermanent(err error) bool
	// Reason says, once what was built is taken back, what to do about such an error; it may be empty.
	Reason(ctx context.Context, c *Claim, err error) Reason
}

// Do works on an operation until it has ended, or this process cannot go on with it. A nil error,
// and an *EndedError, say that it has ended; after any other it is left to whoever claims it next,
// with the error as its trouble.
func (c *Claim) Do(ctx context.Context, w Work, log zerolog.Logger) error {
	if c.Operation.Cancelling {
		return c.endCancelled(context.WithoutCancel(ctx))
	}
	m := NewMeter(c.Operation.Options.Throttle)
	failpoint.Hit(failpoint.OperationClaimed)
	work, stop := lease.Keep(ctx, c.TTL, func(ctx context.Context) error {
		err := c.report(ctx, m.progress())
		if errors.Is(err, lease.ErrLost) || errors.Is(err, ErrCancelled) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("claim on an operation is not renewed")
		}
		return nil
	})
	defer stop()
	result, err := w.Do(work, c, m)
	if err != nil && work.Err() != nil {
		err = context.Cause(work)
	}
	stop()
	failpoint.Hit(failpoint.OperationEnding)
	return c.end(ctx, w, m, log, result, err)
}

// end leaves the operation as whoever looks next should find it.
func (c *Claim) end(ctx context.Context, w Work, m *Meter, log zerolog.Logger, result any, err error) error {
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	// A write that was fenced does not say by what.
	if lease.IsFenced(err) {
		err = cmp.Or(c.report(ctx, m.progress()), err)
	}
	state, reason := Done, Reason("")
	switch {
	case err == nil:
	case errors.Is(err, ErrCancelled):
		state = Cancelled
	case w.IsPermanent(err):
		state = Failed
	case stopping:
		return errors.Join(err, c.giveBack(ctx))
	default:
		return errors.Join(err, c.interrupted(ctx, err))
	}
	if state != Done {
		if err := c.records.discard(ctx, c, state, err); err != nil {
			return errors.Join(err, c.interrupted(ctx, err))
		}
	}
	if state == Failed {
		reason = w.Reason(ctx, c, err)
	}
	if err := c.report(ctx, m.progress()); err != nil && !errors.Is(err, ErrCancelled) {
		return err
	}
	if err := c.finish(ctx, state, result, err, reason); err != nil {
		return err
	}
	log.Info().Stringer("operation", c.Operation.ID).Str("kind", string(c.Operation.Kind)).Str("state", string(state)).
		AnErr("error", err).Msg("operation has ended")
	ended, readErr := c.records.Get(ctx, c.Operation.ID)
	if readErr != nil || state == Done {
		return readErr
	}
	return &EndedError{Operation: ended}
}
