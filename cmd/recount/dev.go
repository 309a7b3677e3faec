package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/internal/pgembed"
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
		logger: logger, snapshotEvery: d.snapshotEvery,
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

// devDatabase is the database of dev.
type devDatabase struct {
	dsn    string
	server *pgembed.Server // nil: not our own
}

func (d *dev) openDatabase(ctx context.Context) (*devDatabase, error) {
	if d.pg != builtIn {
		return &devDatabase{dsn: d.pg}, (&database{url: d.pg}).check()
	}
	config := pgembed.Config{Fresh: d.fresh, Port: d.pgPort}
	if !d.fresh {
		config.DataDir = pgDir(d.dataDir)
	}
	server, err := pgembed.Start(ctx, config)
	var none *pgembed.NoBinariesError
	var wrong *pgembed.BinDirError
	var running *pgembed.RunningError
	var file *fs.PathError
	switch {
	case errors.As(err, &none), errors.As(err, &wrong):
		return nil, &failure{exitUnavailable, err, hintFor(err) + "\n  recount dev --pg postgres://user:password@host:5432/name   # to use one that runs"}
	case errors.As(err, &running):
		return nil, &failure{exitConflict, fmt.Errorf("start the built-in PostgreSQL: %w", err), hintFor(err) + " with --data DIR"}
	case !d.fresh && errors.As(err, &file):
		return nil, &failure{exitFailure, fmt.Errorf("start the built-in PostgreSQL: %w", err),
			hintFor(err) + " --data DIR keeps the data in another directory"}
	case err != nil:
		return nil, fmt.Errorf("start the built-in PostgreSQL: %w", err)
	}
	return &devDatabase{server.DSN(pgembed.Database), server}, nil
}

func (db *devDatabase) stop() error {
	if db.server == nil {
		return nil
	}
	return db.server.Stop()
}

// errDatabaseEnded is the cause of a context that ended with the database.
var errDatabaseEnded = errors.New("the built-in PostgreSQL ended by itself")

// whileItRuns returns a context that ends with ctx, or with the database.
func (db *devDatabase) whileItRuns(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if db.server != nil {
		go func() {
			select {
			case <-db.server.Stopped():
				cancel(errDatabaseEnded)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// endedBy returns an error if the database is why ctx ended.
func (db *devDatabase) endedBy(ctx context.Context) error {
	if !errors.Is(context.Cause(ctx), errDatabaseEnded) {
		return nil
	}
	return &failure{exitUnavailable, errDatabaseEnded, "its log says why: " + db.server.LogFile()}
}

// ignoreClosedPipes lets a server outlive whoever reads its log: writing to a closed pipe is an
// error then, and no longer the end. (To ignore the signal would be passed on to child processes.)
func ignoreClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
