package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

// dev is what dev is asked for.
type dev struct {
	dataDir    string
	fresh      bool
	listen     string
	admin      string
	adminAsked bool // somebody chose admin
	pg         string
	pgPort     int
	schema     string
	seed       bool
	seedOrders int
	// snapshotEvery is that of shop.Config.
	snapshotEvery map[string]int
	// ignoreTypes is that of projections.Config.
	ignoreTypes []string
}

// builtIn is the value of --pg for a database of dev's own.
const builtIn = "auto"

func (a *app) devCommand() *cobra.Command {
	var d dev
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, on a PostgreSQL of its own",
		Long: `Run everything in one process, on a PostgreSQL of its own. The data is kept in --data and survives
restarts and kills. It needs the programs of PostgreSQL; where there are none it says how to get
them. Ctrl-C stops it.`,
		Example: "  recount dev --seed\n  recount dev --fresh --listen 127.0.0.1:0",
		Args:    noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&d.dataDir, "data", defaultDataDir, "directory to keep the data in")
	flags.BoolVar(&d.fresh, "fresh", false, "keep the data in a temporary directory instead, and remove it at the end")
	flags.StringVar(&d.listen, "listen", defaultListen, "address for HTTP; port 0 takes a free one")
	adminFlag(flags, &d.admin)
	flags.BoolVar(&d.seed, "seed", false, "load made-up orders, unless they are there already")
	flags.IntVar(&d.seedOrders, "seed-orders", 100, "how many orders --seed makes up")
	flags.StringVar(&d.pg, "pg", builtIn, "auto, or the address of a PostgreSQL to use instead of an own one")
	flags.IntVar(&d.pgPort, "pg-port", 0, "port on 127.0.0.1 for other programs to reach the own PostgreSQL; 0: none")
	for _, name := range []string{"data", "fresh", "listen", "seed", "seed-orders", "pg", "pg-port"} {
		fromEnv(flags, name)
	}
	schemaFlag(flags, &d.schema)
	snapshotFlag(flags, &d.snapshotEvery)
	ignoreFlag(flags, &d.ignoreTypes)
	logs := loggingFlags(cmd, "warn", "console")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if d.pg != builtIn && (d.fresh || d.pgPort != 0) {
			return usageError(cmd, "--fresh and --pg-port are for the own PostgreSQL, and --pg names another")
		}
		d.adminAsked = flags.Changed("admin")
		if d.pgPort < 0 || d.pgPort > 65535 {
			return usageError(cmd, "--pg-port must be from 1 to 65535, or 0 for none; it is %d", d.pgPort)
		}
		if d.seedOrders < 1 {
			return usageError(cmd, "--seed-orders must be 1 or more")
		}
		return a.runDev(cmd.Context(), d, a.logger(logs))
	}
	return cmd
}

func (a *app) runDev(ctx context.Context, d dev, logger zerolog.Logger) (err error) {
	begun := time.Now()
	ignoreClosedPipes()
	// First, for if it fails there should be no database that nobody has ever used.
	ln, admin, err := listenBoth(d.listen, d.admin, d.adminAsked)
	if err != nil {
		return err
	}
	defer closeListeners(ln, admin)
	db, err := d.openDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.stop()) }()
	ctx, release := db.whileItRuns(ctx)
	defer release()

	if _, err := migrations.Up(ctx, db.dsn, d.schema); err != nil {
		return err
	}
	b, err := openBackend(ctx, backendConfig{
		dsn: db.dsn, schema: d.schema, roles: []string{roleAPI, roleProjections}, maxConns: 20,
		logger: logger, snapshotEvery: d.snapshotEvery, ignoreTypes: d.ignoreTypes,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	a.greet(d, db, urlOf(ln), urlOf(admin), time.Since(begun))

	var seeding sync.WaitGroup
	if d.seed {
		seeding.Go(func() {
			// It is no reason to stop: what was asked for besides works.
			if err := a.seed(ctx, urlOf(ln), d.seedOrders); err != nil {
				a.report(err)
			}
		})
	}
	err = b.serve(ctx, ln, admin)
	seeding.Wait()
	return errors.Join(err, db.endedBy(ctx))
}

// ignoreClosedPipes lets a server outlive whoever reads its log: writing to a closed pipe is an
// error then, and no longer the end. (To ignore the signal would be passed on to child processes.)
func ignoreClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
