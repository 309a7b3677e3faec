package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
)

// serving is what serve is asked for.
type serving struct {
	database database
	listen   string
	admin    string
	// adminAsked says that somebody chose admin.
	adminAsked bool

	roles    []string
	migrate  bool
	wait     time.Duration
	maxConns int32
	// snapshotEvery is that of shop.Config.
	snapshotEvery map[string]int
	// buildOnCommand is that of projections.Config.
	buildOnCommand bool
	// ignoreTypes and dropUnusedAfter are those of projections.Config.
	ignoreTypes     []string
	dropUnusedAfter time.Duration
	adoptLog        bool
}

func (s *serving) check(cmd *cobra.Command) error {
	if s.database.url == "" {
		return &failure{exitUsage, errors.New("no database: neither --database nor DATABASE_URL is set"),
			"for a database that comes with the program: recount dev"}
	}
	if len(s.roles) == 0 || s.maxConns < 1 {
		return usageError(cmd, "--roles and --max-connections must not be empty or 0")
	}
	for _, role := range s.roles {
		if role != roleAPI && role != roleProjections {
			return usageError(cmd, "unknown role %q: the roles are %s and %s", role, roleAPI, roleProjections)
		}
	}
	if s.maxConns < projections.MinConnections && slices.Contains(s.roles, roleProjections) {
		return usageError(cmd, "--max-connections must be at least %d with the role %s: a rebuild needs as many", projections.MinConnections, roleProjections)
	}
	if s.wait < 0 {
		return usageError(cmd, "--wait must not be negative")
	}
	// Before the database is waited for.
	for _, address := range []string{s.listen, s.admin} {
		if err := checkAddress(address); err != nil && address != noAdmin {
			return err
		}
	}
	return s.database.check()
}

func (s *serving) run(ctx context.Context, logger zerolog.Logger) (err error) {
	ignoreClosedPipes()
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
	b, err := openBackend(ctx, backendConfig{
		dsn: s.database.url, schema: s.database.schema, roles: s.roles, maxConns: s.maxConns, logger: logger,
		snapshotEvery: s.snapshotEvery, buildOnCommand: s.buildOnCommand, ignoreTypes: s.ignoreTypes, dropUnusedAfter: s.dropUnusedAfter,
		adoptLog: s.adoptLog,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	logger.Info().Str("url", urlOf(ln)).Str("admin", urlOf(admin)).Strs("roles", s.roles).Str("database", describe(s.database.url)).Msg("serving")
	defer context.AfterFunc(ctx, func() { logger.Info().Msg("stopping") })()
	return b.serve(ctx, ln, admin)
}

// prepare migrates, if that is wanted, and makes sure that the tables are there.
func (s *serving) prepare(ctx context.Context, logger zerolog.Logger) error {
	if s.migrate {
		done, err := migrations.Up(ctx, s.database.url, s.database.schema)
		if err != nil {
			return err
		}
		logger.Info().Uint("from", done.From).Uint("to", done.To).Msg("migrated")
	}
	return checkMigrated(ctx, s.database.url, s.database.schema)
}

func (a *app) serveCommand() *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the backend, or a part of it, on a given database",
		Long: `Run the backend, or a part of it, on a given database. Any number of processes may serve one
database. The first SIGINT or SIGTERM lets it finish what it has begun, the second ends it at once.`,
		Example: "  recount serve --database postgres://user:password@host:5432/name --migrate",
		Args:    noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&s.database.url, "database", "", "address of the database")
	fromEnv(flags, "database", "DATABASE_URL")
	schemaFlag(flags, &s.database.schema)
	flags.StringVar(&s.listen, "listen", defaultListen, "address for HTTP; $PORT alone means that port on all addresses")
	fromEnv(flags, "listen")
	adminFlag(flags, &s.admin)
	flags.StringSliceVar(&s.roles, "roles", []string{roleAPI, roleProjections}, "what to run: api, projections")
	fromEnv(flags, "roles")
	flags.BoolVar(&s.migrate, "migrate", false, "bring the tables to the version of this program first")
	fromEnv(flags, "migrate")
	flags.DurationVar(&s.wait, "wait", 30*time.Second, "how long to wait for a database that cannot be reached")
	fromEnv(flags, "wait")
	flags.Int32Var(&s.maxConns, "max-connections", 20, "how many connections to the database to make, at least 2 with the role projections, besides up to 3 of the log")
	fromEnv(flags, "max-connections")
	snapshotFlag(flags, &s.snapshotEvery)
	ignoreFlag(flags, &s.ignoreTypes)
	flags.DurationVar(&s.dropUnusedAfter, "drop-unused-after", 0, "remove rows of versions of read models that nobody has run for so long; 0: never")
	fromEnv(flags, "drop-unused-after")
	flags.BoolVar(&s.buildOnCommand, "build-on-command", false, "leave it to recount projections rebuild to build read models of a new version")
	fromEnv(flags, "build-on-command")
	flags.BoolVar(&s.adoptLog, "adopt-log", false, "join a log that other apps have, beside them; once is enough")
	fromEnv(flags, "adopt-log")
	logs := loggingFlags(cmd, "info", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if port := a.getenv("PORT"); port != "" && !flags.Changed("listen") {
			s.listen = ":" + port
		}
		s.adminAsked = flags.Changed("admin")
		if err := s.check(cmd); err != nil {
			return err
		}
		return s.run(cmd.Context(), a.logger(logs))
	}
	return cmd
}
