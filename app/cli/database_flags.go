package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/migrations"
)

// database says which log a command works on.
type database struct {
	prog    *Program
	url     string
	schema  string
	dataDir string // of recount dev
}

// flags returns the flags with which other commands find the log that cmd works on. What the environment says they find
// there, and the address, which may have a password in it, is left out.
func (d *database) flags(cmd *cobra.Command) (args string) {
	if originOf(cmd.Flags(), "database") == byCommandLine {
		args += " --database ..."
	}
	if originOf(cmd.Flags(), "data") == byCommandLine {
		args += " --data " + hint.Quote(d.dataDir)
	}
	return args + hint.SchemaFlag(d.schema)
}

// located returns the RunE of a command that works on the address of the database.
func (d *database) located(run func(ctx context.Context, dsn string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		dsn, err := d.locate(cmd.Context())
		if err != nil {
			return err
		}
		return run(cmd.Context(), dsn)
	}
}

// locate returns the address of the database: the one that was given, else that of the built-in
// database of a running recount dev.
func (d *database) locate(ctx context.Context) (string, error) {
	if d.url != "" {
		return d.url, CheckDSN(d.url)
	}
	if dsn, ok := pgembed.Find(ctx, pgDir(d.dataDir)); ok {
		return dsn, nil
	}
	return "", &Failure{ExitUnavailable,
		fmt.Errorf("no database: neither --database nor DATABASE_URL is set, and no {program} dev runs on %s", d.dataDir),
		"start one with {program} dev, or pass --database postgres://user:password@host:5432/name"}
}

// locateOwn is locate for what changes the log, which must not be another App's.
func (d *database) locateOwn(ctx context.Context) (string, error) {
	dsn, err := d.locate(ctx)
	if err == nil {
		err = d.prog.App.CheckLog(ctx, dsn, d.schema)
	}
	return dsn, err
}

// CheckDSN reports an address of a database that cannot be read.
func CheckDSN(dsn string) error {
	if _, err := pgx.ParseConfig(dsn); err != nil {
		return &Failure{ExitUsage, fmt.Errorf("the database's address: %w", err), "it looks like postgres://user:password@host:5432/name"}
	}
	return nil
}

const defaultDataDir = ".recount"

// pgDir is where the built-in database is in a data directory.
func pgDir(dataDir string) string { return filepath.Join(dataDir, "pg") }

// databaseFlags gives cmd, and its subcommands, the flags that say which database. Otherwise says
// what happens without them.
func (prog *Program) databaseFlags(cmd *cobra.Command, otherwise string) *database {
	d := &database{prog: prog}
	flags := cmd.PersistentFlags()
	flags.StringVar(&d.url, "database", "", "address of the database; else "+otherwise)
	FromEnv(flags, "database", "DATABASE_URL")
	flags.StringVar(&d.dataDir, "data", defaultDataDir, "data directory of {program} dev")
	FromEnv(flags, "data")
	prog.schemaFlag(flags, &d.schema)
	return d
}

// DatabaseFlags gives a command of an Extension the flags that say which database, and returns what has the service on it used. It is not
// started.
func (prog *Program) DatabaseFlags(cmd *cobra.Command) func(ctx context.Context, use func(*app.Service) error) error {
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	return func(ctx context.Context, use func(*app.Service) error) error {
		return d.withService(ctx, app.Options{}, use)
	}
}

func (prog *Program) schemaFlag(flags *pflag.FlagSet, schema *string) {
	flags.StringVar(schema, "schema", prog.defaultSchema(), "schema of the log in the database")
	FromEnv(flags, "schema")
}

// defaultSchema is that of the App.
func (prog *Program) defaultSchema() string { return cmp.Or(prog.App.Schema, migrations.DefaultSchema) }

// withService gives a command the service on the database of d, which is not started. The log is
// the App's.
func (d *database) withService(ctx context.Context, o app.Options, use func(*app.Service) error) error {
	return d.withLog(ctx, o, func(s *app.Service) error {
		if err := s.Admin.Check(ctx); err != nil {
			return err
		}
		return use(s)
	})
}

// withLog is withService for a log that may be another App's.
func (d *database) withLog(ctx context.Context, o app.Options, use func(*app.Service) error) (err error) {
	if o.DSN, err = d.locate(ctx); err != nil {
		return err
	}
	o.Schema, o.Roles, o.MaxConns, o.ReceiptTTL = d.schema, []string{}, 16, -1 // operations on all projections take two or three each
	s, err := app.Open(ctx, d.prog.App, o)
	if err != nil {
		return d.lacksTables(ctx, o, err)
	}
	defer func() { err = d.lacksTables(ctx, o, errors.Join(err, s.Close(ctx))) }()
	return use(s)
}

// lacksTables says that the tables are behind, if that is why err came about.
func (d *database) lacksTables(ctx context.Context, o app.Options, err error) error {
	if !pgerr.LacksTables(err) {
		return err
	}
	return cmp.Or(d.prog.App.CheckMigrated(ctx, o.DSN, o.Schema), err)
}

// describe names a database for people, without its password.
func describe(dsn string) string {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "of an unreadable address"
	}
	return fmt.Sprintf("%s on %s", c.Database, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
}
