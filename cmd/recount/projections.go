package main

import (
	"context"
	"errors"
	"os/user"
	"slices"

	"github.com/google/uuid"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
)

func (a *app) projectionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "projections", Short: "Look at the projections, and steer them"}
	d := databaseFlags(cmd, "a server does it, see --server of the commands")
	return group(cmd, append(a.operationCommands(d),
		a.projectionsList(d), a.projectionsShow(d), a.projectionsPause(d), a.projectionsResume(d), a.projectionsSkip(d))...)
}

// operating says where operations on projections are done, and they are looked at: by a running
// server, or by this process straight on a database.
type operating struct {
	database *database
	server   string
	// every is that of shop.Config.SnapshotEvery: it must be as the servers on the database have it.
	every map[string]int
	cmd   *cobra.Command
}

// byServer reports whether a server does it. What the command line says goes before the environment,
// in which a database goes before a server.
func (o *operating) byServer() (bool, error) {
	flags := o.cmd.Flags()
	server := originOf(flags, "server")
	database := max(originOf(flags, "database"), originOf(flags, "data"))
	switch {
	case server == byCommandLine && database == byCommandLine:
		return false, usageError(o.cmd, "a server does it, or this process on a database: give --server or --database, not both")
	case database != byDefault && server != byCommandLine:
		return false, nil
	case o.database.schema != migrations.DefaultSchema:
		return false, usageError(o.cmd, "a server works on the schema that it was started with: leave out --schema %s, or name the database", o.database.schema)
	case flags.Lookup("snapshots") != nil && originOf(flags, "snapshots") == byCommandLine:
		return false, usageError(o.cmd, "a server makes snapshots as often as it was started with: leave out --snapshots, or name the database")
	}
	return true, nil
}

// with gives the operator that the flags name.
func (o *operating) with(ctx context.Context, use func(operator) error) error {
	byServer, err := o.byServer()
	switch {
	case err != nil:
		return err
	case byServer:
		err = use(&operationsClient{server: o.server})
	default:
		err = o.database.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
			return use(projections.NewAdmin(pool, o.database.schema, log))
		})
	}
	return o.explain(err)
}

// explain adds what to do about an error: the command that shows what there is.
func (o *operating) explain(err error) error {
	var hint string
	var busy *projections.BusyError
	switch {
	case errors.As(err, &busy) && busy.Operation.Cancelling:
		return err
	case errors.As(err, &busy):
		hint = "wait for it, or cancel it: " + o.cancelCommand(busy.Operation.ID.String())
	case errors.Is(err, projections.ErrBusy):
		hint = "wait for it, or cancel it: " + o.cancelCommand("OPERATION")
	case errors.Is(err, projections.ErrInvalidRequest):
		hint = "see " + o.cmd.CommandPath() + " --help"
	case errors.Is(err, projections.ErrNotFound):
		hint = "recount projections ls" + o.where() + " lists them"
	case errors.Is(err, projections.ErrOperationNotFound):
		hint = "recount projections show NAME" + o.where() + " lists the last ones"
	case errors.Is(err, projections.ErrNotFailed):
		hint = "recount projections show NAME" + o.where() + " says what it is doing"
	default:
		return err
	}
	return &failure{exitCode(err), err, hint}
}

// has reports whether the log has a projection of that name.
func (o *operating) has(ctx context.Context, name string) (found bool, err error) {
	err = o.with(ctx, func(op operator) error {
		all, err := op.List(ctx)
		found = slices.ContainsFunc(all, func(s projections.Status) bool { return s.Projection == name })
		return err
	})
	return found, err
}

func operatingFlags(cmd *cobra.Command, d *database) *operating {
	o := &operating{database: d, cmd: cmd}
	serverFlag(cmd.Flags(), &o.server, "address of the server that does it, unless --database or --data says that this process does")
	return o
}

// operator is what can be done with projections besides the operations on them. The errors of both match
// the same ones of package projections.
type operator interface {
	List(ctx context.Context) ([]projections.Status, error)
	Details(ctx context.Context, projection string) (projections.Details, error)
	Pause(ctx context.Context, projection string) error
	Resume(ctx context.Context, projection string) error
	Skip(ctx context.Context, projection string, position int64, reason, actor string) ([]projections.Skip, error)
	Cancel(ctx context.Context, id uuid.UUID) (projections.Operation, error)
}

var (
	_ operator = (*projections.Admin)(nil)
	_ operator = (*operationsClient)(nil)
)

// actor names who gives an order.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
