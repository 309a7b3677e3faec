package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
)

// operating says where operations on projections are done, and they are looked at: by a running
// server, or by this process straight on a database.
type operating struct {
	database *database
	server   string
	// every is that of shop.Config.SnapshotEvery: it must be as the servers on the database have it.
	every map[string]int
	cmd   *cobra.Command
}

func operatingFlags(cmd *cobra.Command, d *database) *operating {
	o := &operating{database: d, cmd: cmd}
	serverFlag(cmd.Flags(), &o.server, "address of the server that does it, unless --database or --data says that this process does")
	return o
}

// serverFlag gives a command the flag that says which server to ask.
func serverFlag(flags *pflag.FlagSet, address *string, usage string) {
	*address = "http://" + defaultListen
	flags.Var((*serverAddress)(address), "server", usage)
	fromEnv(flags, "server")
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
	}
	return true, nil
}

// list returns the status of all generations of all projections.
func (o *operating) list(ctx context.Context) ([]projections.Status, error) {
	byServer, err := o.byServer()
	if err != nil {
		return nil, err
	}
	if byServer {
		return (&operationsClient{server: o.server}).projections(ctx)
	}
	var all []projections.Status
	err = o.database.withAdmin(ctx, func(admin *projections.Admin) error {
		all, err = admin.List(ctx)
		return err
	})
	return all, err
}

// details returns all about a projection.
func (o *operating) details(ctx context.Context, name string) (projections.Details, error) {
	byServer, err := o.byServer()
	if err != nil {
		return projections.Details{}, err
	}
	if byServer {
		return (&operationsClient{server: o.server}).details(ctx, name)
	}
	var v projections.Details
	err = o.database.withAdmin(ctx, func(admin *projections.Admin) error {
		v, err = admin.Details(ctx, name)
		return err
	})
	return v, err
}

// has reports whether the log has a projection of that name.
func (o *operating) has(ctx context.Context, name string) (bool, error) {
	all, err := o.list(ctx)
	return slices.ContainsFunc(all, func(s projections.Status) bool { return s.Projection == name }), err
}
