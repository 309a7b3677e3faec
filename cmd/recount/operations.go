package main

import (
	"context"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/snapshots"
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

// withRunner gives a runner that has not been started.
func (d *database) withRunner(ctx context.Context, every map[string]int, use func(*projections.Runner) error) error {
	return d.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
		codec, err := shop.NewCodec()
		if err != nil {
			return err
		}
		kept := snapshots.NewStore(pool, d.schema)
		s, err := shop.New(log, codec, shop.Config{Snapshots: kept, SnapshotEvery: every})
		if err != nil {
			return err
		}
		runner, err := projections.NewRunner(projections.Config{Pool: pool, Schema: d.schema, Store: log, Codec: codec},
			allProjections(s, kept, zerolog.Nop())...)
		if err != nil {
			return err
		}
		return use(runner)
	})
}

func (a *app) projectionsCancel(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel OPERATION",
		Short: "End a rebuild, rollback, verification or repair that is running",
		Args:  oneArg("operation"),
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := uuid.Parse(args[0])
		if err != nil {
			return &failure{exitUsage, fmt.Errorf("%q is no operation: %w", args[0], err), "recount projections show NAME lists them"}
		}
		return where.with(cmd.Context(), func(operator operator) error {
			op, err := operator.Cancel(cmd.Context(), id)
			if err != nil {
				return err
			}
			return out.print(a.stdout, op, func(w io.Writer) { operationTable(w, []projections.Operation{op}) })
		})
	}
	return cmd
}
