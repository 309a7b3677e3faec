package cli

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
)

// serving is what serve is asked for.
type serving struct {
	database *database
	listen   string
	admin    string
	// adminAsked says that somebody chose admin.
	adminAsked bool
	// allowHosts are names of the server besides localhost.
	allowHosts []string
	auth       *authentication
	tls        *certificateFiles

	migrate bool
	wait    time.Duration
	options app.Options
}

func (s *serving) check(cmd *cobra.Command) error {
	if s.database.url == "" {
		return &Failure{ExitUsage, errors.New("no database: neither --database nor DATABASE_URL is set"),
			"for a database that comes with the program: {program} dev"}
	}
	if len(s.options.Roles) == 0 || s.options.MaxConns < 1 {
		return UsageError(cmd, "--roles and --max-connections must not be empty or 0")
	}
	for _, role := range s.options.Roles {
		if !slices.Contains(app.Roles(), role) {
			return UsageError(cmd, "unknown role %q: the roles are %s", role, strings.Join(app.Roles(), ", "))
		}
	}
	for _, name := range s.options.Only {
		if known := s.database.prog.App.ModuleNames(); !slices.Contains(known, name) {
			return UsageError(cmd, "unknown module %q: the modules are %s", name, strings.Join(known, ", "))
		}
	}
	if s.options.MaxConns < projections.MinConnections && slices.Contains(s.options.Roles, app.RoleProjections) {
		return UsageError(cmd, "--max-connections must be at least %d with the role %s: a rebuild needs as many", projections.MinConnections, app.RoleProjections)
	}
	if s.options.MaxConns < delivery.MinConnections && slices.Contains(s.options.Roles, app.RoleDelivery) {
		return UsageError(cmd, "--max-connections must be at least %d with the role %s", delivery.MinConnections, app.RoleDelivery)
	}
	if s.wait < 0 {
		return UsageError(cmd, "--wait must not be negative")
	}
	// Before the database is waited for.
	for _, address := range []string{s.listen, s.admin} {
		if err := checkAddress(address); err != nil && address != noAdmin {
			return err
		}
	}
	if s.servesRoutes() {
		if err := s.auth.guardEarly(s.listen, s.database.prog.App, s.allowHosts...); err != nil {
			return err
		}
	}
	return CheckDSN(s.database.url)
}

// servesRoutes reports whether there are routes but those for the health of the process, which anybody may use.
func (s *serving) servesRoutes() bool { return slices.Contains(s.options.Roles, app.RoleAPI) }

func (s *serving) run(ctx context.Context, logger zerolog.Logger) (err error) {
	ignoreClosedPipes()
	certificate, err := s.tls.load(logger)
	if err != nil {
		return err
	}
	if err := awaitDatabase(ctx, s.database.url, s.wait, logger); err != nil {
		return err
	}
	if err := s.prepare(ctx, logger); err != nil {
		return err
	}
	ln, admin, err := listenBoth(s.listen, s.admin, s.adminAsked)
	if err != nil {
		return err
	}
	defer closeListeners(ln, admin)
	if err := s.auth.guard(ln.Addr(), s.database.prog.App, s.allowHosts...); err != nil {
		if s.servesRoutes() {
			return err
		}
		s.options.RequireTokens = true // for what /readyz?verbose says in detail
	}
	s.options.DSN, s.options.Schema, s.options.Logger = s.database.url, s.database.schema, logger
	s.options.Host, s.options.AdminHosts = httpapi.OwnHosts(ln.Addr(), s.allowHosts...), s.allowHosts
	service, err := app.Open(ctx, s.database.prog.App, s.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close(ctx)) }()
	if err := service.Start(ctx); err != nil {
		return err
	}
	url := urlOf(ln)
	if certificate != nil {
		url, ln = "https"+strings.TrimPrefix(url, "http"), certificate.listen(ln)
	} else if tcp, ok := ln.Addr().(*net.TCPAddr); ok && s.options.RequireTokens && !tcp.IP.IsLoopback() {
		logger.Warn().Msg("tokens come over the network as they are, unless something in front of this server takes TLS: --tls-cert")
	}
	logger.Info().Str("url", url).Str("admin", urlOf(admin)).Strs("roles", s.options.Roles).Str("database", describe(s.database.url)).Msg("serving")
	defer context.AfterFunc(ctx, func() { logger.Info().Msg("stopping") })()
	return service.Serve(ctx, ln, admin)
}

// prepare migrates, if that is wanted, and makes sure that the tables are there.
func (s *serving) prepare(ctx context.Context, logger zerolog.Logger) error {
	if s.migrate {
		if s.options.AdoptLog {
			if err := s.database.prog.App.JoinLog(ctx, s.database.url, s.database.schema); err != nil {
				return err
			}
		}
		done, err := s.database.prog.App.MigrateUp(ctx, s.database.url, s.database.schema)
		if err != nil {
			return err
		}
		for _, m := range done {
			line := logger.Info()
			if m.Module != "" {
				line = line.Str("module", m.Module)
			}
			line.Uint("from", m.From).Uint("to", m.To).Msg("migrated")
		}
	}
	return s.database.prog.App.CheckMigrated(ctx, s.database.url, s.database.schema)
}

func (prog *Program) serveCommand() *cobra.Command {
	s := serving{database: &database{prog: prog}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the backend, or a part of it, on a given database",
		Long: `Run the backend, or a part of it, on a given database. Any number of processes may serve one
database. The first SIGINT or SIGTERM lets it finish what it has begun, the second ends it at once.`,
		Example: "  {program} serve --database postgres://user:password@host:5432/name --migrate",
		Args:    NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&s.database.url, "database", "", "address of the database")
	FromEnv(flags, "database", "DATABASE_URL")
	prog.schemaFlag(flags, &s.database.schema)
	flags.StringVar(&s.listen, "listen", defaultListen, "address for HTTP; $PORT alone means that port on all addresses")
	FromEnv(flags, "listen")
	flags.StringSliceVar(&s.allowHosts, "allow-hosts", nil, "names in the Host of requests besides localhost, where it listens on a loopback address: those of a proxy in front of it")
	FromEnv(flags, "allow-hosts")
	adminFlag(flags, &s.admin)
	s.auth = authFlags(flags)
	s.tls = tlsFlags(flags)
	flags.StringSliceVar(&s.options.Roles, "roles", app.Roles(), "what to run: "+strings.Join(app.Roles(), ", "))
	FromEnv(flags, "roles")
	flags.StringSliceVar(&s.options.Only, "only", nil, "modules to run (default all): "+strings.Join(prog.App.ModuleNames(), ", "))
	FromEnv(flags, "only")
	flags.BoolVar(&s.migrate, "migrate", false, "bring the tables to the version of this program first")
	FromEnv(flags, "migrate")
	flags.DurationVar(&s.wait, "wait", 30*time.Second, "how long to wait for a database that cannot be reached")
	FromEnv(flags, "wait")
	flags.Int32Var(&s.options.MaxConns, "max-connections", 20, "how many connections to the database to make, unless its address has pool_max_conns; at least 2 with the role projections and 4 with delivery, besides up to 3 of the log")
	FromEnv(flags, "max-connections")
	prog.snapshotFlag(flags, &s.options.SnapshotEvery)
	ignoreFlag(flags, &s.options.IgnoreTypes)
	flags.DurationVar(&s.options.DropUnusedAfter, "drop-unused-after", 0, "remove rows of versions of read models that nobody has run for so long; 0: never")
	FromEnv(flags, "drop-unused-after")
	flags.BoolVar(&s.options.BuildOnCommand, "build-on-command", false, "leave it to {program} projections rebuild to build read models of a new version")
	FromEnv(flags, "build-on-command")
	setTargets := prog.targetOptionFlags(flags)
	flags.BoolVar(&s.options.AdoptLog, "adopt-log", false, "join a log that other apps have, beside them; once is enough")
	FromEnv(flags, "adopt-log")
	var accept string
	flags.StringVar(&accept, "accept", "", "file with what others may forward to this log, as YAML or JSON: docs/recipes/cross-account.md")
	FromEnv(flags, "accept")
	choose := prog.variantFlags(flags, false)
	logs := loggingFlags(cmd, "info", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		closeApp, err := choose("")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeApp()) }()
		if port := prog.Getenv("PORT"); port != "" && !flags.Changed("listen") {
			s.listen = ":" + port
		}
		s.adminAsked = flags.Changed("admin")
		if err := s.check(cmd); err != nil {
			return err
		}
		if err := s.auth.set(&s.options, prog.App); err != nil {
			return err
		}
		if !flags.Changed("max-connections") {
			s.options.MaxConns = 0 // what the address says goes before the default
		}
		if err := setTargets(&s.options); err != nil {
			return err
		}
		if s.options.Accept, err = readGrants(accept); err != nil {
			return err
		}
		return s.run(cmd.Context(), prog.logger(logs))
	}
	return cmd
}
