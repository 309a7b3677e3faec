package main

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/projections"
)

// operate does an operation on t, shows its progress, and returns it when it is done.
func (a *app) operate(ctx context.Context, t *target, r projections.Request) (projections.Operation, error) {
	r.Actor = actor()
	byServer, err := t.byServer()
	if err != nil {
		return projections.Operation{}, err
	}
	p := a.progress(string(r.Kind) + " " + r.Projection)
	show := a.showOperation(p)
	var op projections.Operation
	if byServer {
		op, err = (&operationsClient{server: t.server}).run(ctx, r, t.warnIfUnclaimed(p, show))
	} else {
		err = t.database.withService(ctx, t.every, zerolog.Nop(), func(s *service) error {
			runner, err := s.runner(projections.Config{IgnoreTypes: t.ignoreTypes})
			if err != nil {
				return err
			}
			op, err = runner.Run(ctx, r, show)
			return err
		})
	}
	p.end()
	if ctx.Err() != nil {
		return op, &failure{exitInterrupted, err, t.afterInterrupt(byServer, r.Projection, op)}
	}
	return op, t.explain(err)
}
