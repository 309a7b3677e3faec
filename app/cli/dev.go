package cli

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery/mail/inbox"
	"github.com/57528e99/recount/httpapi"
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
	auth       *authentication
	options    app.Options
	// beside is what the extensions do once the server answers.
	beside []func(context.Context, DevServer) error
}

// builtIn is the value of --pg for a database of dev's own.
const builtIn = "auto"

func (prog *Program) devCommand() *cobra.Command {
	var d dev
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, on a PostgreSQL of its own",
		Long: `Run everything in one process, on a PostgreSQL of its own. The data is kept in --data and survives
restarts and kills. It needs the programs of PostgreSQL; where there are none it says how to get
them. Ctrl-C stops it.`,
		Example: "  {program} dev\n  {program} dev --fresh --listen 127.0.0.1:0",
		Args:    NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&d.dataDir, "data", defaultDataDir, "directory to keep the data in")
	flags.BoolVar(&d.fresh, "fresh", false, "keep the data in a temporary directory instead, and remove it at the end")
	flags.StringVar(&d.listen, "listen", defaultListen, "address for HTTP; port 0 takes a free one")
	adminFlag(flags, &d.admin)
	d.auth = authFlags(flags)
	flags.StringVar(&d.pg, "pg", builtIn, "auto, or the address of a PostgreSQL to use instead of an own one")
	flags.IntVar(&d.pgPort, "pg-port", 0, "port on 127.0.0.1 for other programs to reach the own PostgreSQL; 0: none")
	for _, name := range []string{"data", "fresh", "listen", "pg", "pg-port"} {
		FromEnv(flags, name)
	}
	prog.schemaFlag(flags, &d.schema)
	prog.snapshotFlag(flags, &d.options.SnapshotEvery)
	ignoreFlag(flags, &d.options.IgnoreTypes)
	templatesFlag(flags, &d.options.Templates)
	choose := prog.variantFlags(flags, true)
	logs := loggingFlags(cmd, "warn", "console")
	for _, x := range prog.Extensions {
		if x.Dev != nil {
			d.beside = append(d.beside, x.Dev(prog, flags))
		}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if d.pg != builtIn && (d.fresh || d.pgPort != 0) {
			return UsageError(cmd, "--fresh and --pg-port are for the own PostgreSQL, and --pg names another")
		}
		d.adminAsked = flags.Changed("admin")
		if d.pgPort < 0 || d.pgPort > 65535 {
			return UsageError(cmd, "--pg-port must be from 1 to 65535, or 0 for none; it is %d", d.pgPort)
		}
		dataDir := d.dataDir
		if d.fresh {
			dataDir = ""
		}
		closeApp, err := choose(dataDir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeApp()) }()
		if err := d.auth.set(&d.options, prog.App); err != nil {
			return err
		}
		return prog.runDev(cmd.Context(), d, prog.logger(logs))
	}
	return cmd
}

func (prog *Program) runDev(ctx context.Context, d dev, logger zerolog.Logger) (err error) {
	begun := time.Now()
	ignoreClosedPipes()
	// First, for if it fails there should be no database that nobody has ever used.
	ln, admin, err := listenBoth(d.listen, d.admin, d.adminAsked)
	if err != nil {
		return err
	}
	defer closeListeners(ln, admin)
	if err := d.auth.guard(ln.Addr(), prog.App); err != nil {
		return err
	}
	db, err := prog.openDatabase(ctx, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.stop()) }()
	ctx, release := db.whileItRuns(ctx)
	defer release()

	if _, err := prog.App.MigrateUp(ctx, db.dsn, d.schema); err != nil {
		return err
	}
	d.options.DSN, d.options.Schema, d.options.Logger = db.dsn, d.schema, logger
	d.options.AllowTargets, d.options.ArchiveDir, d.options.Host = loopback, "/", httpapi.OwnHosts(ln.Addr())
	if d.options.WebhookKey, err = prog.devWebhookKey(d); err != nil {
		return err
	}
	box, err := inbox.Start(inbox.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	server := box.Server()
	d.options.MailServer = &server
	described := prog.App
	mails := box.Around
	if d.options.RequireTokens || described.Actor != nil {
		mails = forThisMachine(mails)
	}
	described.Middleware = append([]func(http.Handler) http.Handler{mails}, described.Middleware...)
	service, err := app.Open(ctx, described, d.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close(ctx)) }()
	if err := service.Start(ctx); err != nil {
		return err
	}
	prog.greet(d, db, urlOf(ln), urlOf(admin), time.Since(begun))

	var beside sync.WaitGroup
	besideCtx, endBeside := context.WithCancel(ctx)
	defer endBeside()
	for _, do := range d.beside {
		beside.Go(func() {
			// It is no reason to stop: the server works.
			if err := do(besideCtx, DevServer{URL: urlOf(ln), Service: service}); err != nil {
				prog.Report(err)
			}
		})
	}
	err = service.Serve(ctx, ln, admin)
	endBeside()
	beside.Wait()
	return errors.Join(err, db.endedBy(ctx))
}

// forThisMachine leaves around out for requests from elsewhere: nobody asks there who sends them.
func forThisMachine(around func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		here := around(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && peer.Addr().Unmap().IsLoopback() {
				here.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// ignoreClosedPipes lets a server outlive whoever reads its log: writing to a closed pipe is an
// error then, and no longer the end. (To ignore the signal would be passed on to child processes.)
func ignoreClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
