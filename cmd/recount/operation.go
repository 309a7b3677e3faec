package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/projections"
)

func (a *app) operationCommands(d *database) []*cobra.Command {
	return []*cobra.Command{a.projectionsRebuild(d), a.projectionsRollback(d), a.projectionsVerify(d), a.projectionsRepair(d), a.projectionsCancel(d)}
}

// run does an operation, shows how far it is, and returns it when it has ended well.
func (a *app) operate(ctx context.Context, o *operating, r projections.Request) (projections.Operation, error) {
	r.Actor = actor()
	byServer, err := o.byServer()
	if err != nil {
		return projections.Operation{}, err
	}
	p := a.progress(string(r.Kind) + " " + r.Projection)
	show := a.showOperation(p)
	var op projections.Operation
	if byServer {
		op, err = (&operationsClient{server: o.server}).run(ctx, r, o.minding(p, show))
	} else {
		err = o.database.withRunner(ctx, o.every, func(runner *projections.Runner) error {
			op, err = runner.Run(ctx, r, show)
			return err
		})
	}
	p.end()
	if ctx.Err() != nil {
		return op, &failure{exitInterrupted, err, o.afterInterrupt(byServer, r.Projection, op)}
	}
	return op, o.explain(err)
}
