package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// follower is a runner with its projections.
type follower struct {
	runner *projections.Runner
	names  []string
}

// startPatience is how long projections may take to make their tables and start.
const startPatience = 30 * time.Second

// startRunner returns when all projections run here.
func (s *scratch) startRunner(ctx context.Context, codec *eventstore.Codec, list ...projections.Projection) (*follower, error) {
	runner, err := projections.NewRunner(projections.Config{Pool: s.pool, Schema: s.schema, Store: s.store, Codec: codec}, list...)
	if err != nil {
		return nil, err
	}
	f := &follower{runner: runner}
	for _, p := range list {
		f.names = append(f.names, p.Name())
	}
	if err := runner.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("start projections: %w", err)
	}
	starting, cancel := context.WithTimeoutCause(ctx, startPatience, errors.New("projections do not start"))
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for f.reach(starting, eventstore.Token{}) != nil {
		select {
		case <-ticker.C:
		case <-starting.Done():
			return nil, errors.Join(context.Cause(starting), f.stop(ctx))
		}
	}
	return f, nil
}

var errNotHere = errors.New("a projection has stopped")

// reach waits until all projections have reached a place in the log.
func (f *follower) reach(ctx context.Context, want eventstore.Token) error {
	for _, name := range f.names {
		at, here := f.runner.WaitFor(ctx, name, want)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !here, at.Position < want.Position:
			return fmt.Errorf("%w: %s, at position %d", errNotHere, name, at.Position)
		}
	}
	return nil
}

func (f *follower) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := f.runner.Stop(ctx); err != nil {
		return fmt.Errorf("stop projections: %w", err)
	}
	return nil
}
