package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/operations"
)

const (
	// watchTTL is for how long a process may not be heard of before another one watches a replay in its place.
	watchTTL = 3 * time.Second
	// watchInterval is how often one is looked at, and watchShare bounds which part of the time that takes.
	watchInterval = 200 * time.Millisecond
	watchShare    = 20
	// unwatchedInterval is how often a process looks for replays that nobody watches, though it did not hear of any.
	unwatchedInterval = 2 * time.Second
)

// watchReplays watches the replays that nobody watches, until ctx is done. They are delivered as subscriptions are, by whoever
// has their partitions: what is watched is whether they have ended.
func (r *Runner) watchReplays(ctx context.Context) {
	ops := r.records.replayOperations()
	var watching sync.WaitGroup
	defer watching.Wait()
	loop := background.Loop{Idle: unwatchedInterval, Wake: r.replays, Failed: func(err error, pause time.Duration) {
		r.config.Logger.Warn().Err(err).Dur("pause", pause).Msg("looking for replays was interrupted")
	}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		ids, err := ops.Unclaimed(ctx)
		for _, id := range ids {
			var c *operations.Claim
			if c, err = ops.Claim(ctx, id, r.process, watchTTL); lease.IsAway(err) {
				err = nil
				continue
			}
			if err != nil {
				break
			}
			watching.Go(func() { r.watchReplay(ctx, c) })
		}
		return background.Idle, err
	})
}

func (r *Runner) watchReplay(ctx context.Context, c *operations.Claim) {
	logger := r.config.Logger.With().Str("subscription", c.Operation.Subject).Logger()
	err := c.Do(ctx, &replayWatch{r.records}, logger)
	if err == nil {
		err = r.records.buryEndedReplays(ctx)
	}
	var ended *operations.EndedError
	if err != nil && ctx.Err() == nil && !lease.IsAway(err) && !errors.As(err, &ended) {
		logger.Warn().Err(err).Msg("watching a replay was interrupted")
	}
}

// replayWatch is the work on the operation that a replay is.
type replayWatch struct{ records *records }

// Do returns the replay when all partitions are at its end and nothing waits any more.
func (w *replayWatch) Do(ctx context.Context, c *operations.Claim, m *operations.Meter) (any, error) {
	var r Replay
	if err := json.Unmarshal(c.Operation.Detail, &r); err != nil {
		return nil, err
	}
	var seen *replayRow
	for ctx.Err() == nil {
		begun := time.Now()
		rows, err := w.records.replayRows(ctx, replayRowSQL, r.Name)
		if err != nil {
			return nil, err
		}
		row := rows[r.Name]
		if row == nil { // it was deleted, which cancels this
			return nil, operations.ErrCancelled
		}
		if seen == nil {
			m.Phase("delivering", row.position, r.To)
			if seen = row; c.Operation.Position == 0 { // the first who watches
				seen = &replayRow{}
			}
		}
		if err := m.Read(ctx, int(row.matched-seen.matched), 0, row.position); err != nil {
			return nil, err
		}
		seen = row
		if row.position >= r.To && row.live == 0 {
			row.fill(&r)
			return r, nil
		}
		background.Sleep(ctx, max(watchInterval, watchShare*time.Since(begun)))
	}
	return nil, context.Cause(ctx)
}

// IsPermanent implements operations.Work: there is nothing that would not pass.
func (*replayWatch) IsPermanent(error) bool { return false }

// Reason implements operations.Work.
func (*replayWatch) Reason(context.Context, *operations.Claim, error) operations.Reason { return "" }
