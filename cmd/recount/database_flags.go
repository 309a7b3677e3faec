package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/migrations"
)

// database says which log a command works on.
type database struct {
	url     string
	schema  string
	dataDir string // of recount dev
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
		return d.url, d.check()
	}
	if dsn, ok := pgembed.Find(ctx, pgDir(d.dataDir)); ok {
		return dsn, nil
	}
	return "", &failure{exitUnavailable,
		fmt.Errorf("no database: neither --database nor DATABASE_URL is set, and no recount dev runs on %s", d.dataDir),
		"start one with recount dev, or pass --database postgres://user:password@host:5432/name"}
}

// check reports an address that cannot be read.
func (d *database) check() error {
	if _, err := pgx.ParseConfig(d.url); err != nil {
		return &failure{exitUsage, fmt.Errorf("the database's address: %w", err), "it looks like postgres://user:password@host:5432/name"}
	}
	return nil
}

const defaultDataDir = ".recount"

// pgDir is where the built-in database is in a data directory.
func pgDir(dataDir string) string { return filepath.Join(dataDir, "pg") }

// databaseFlags gives cmd, and its subcommands, the flags that say which database. Otherwise says what
// happens without them.
func databaseFlags(cmd *cobra.Command, otherwise string) *database {
	d := &database{}
	flags := cmd.PersistentFlags()
	flags.StringVar(&d.url, "database", "", "address of the database; else "+otherwise)
	fromEnv(flags, "database", "DATABASE_URL")
	flags.StringVar(&d.dataDir, "data", defaultDataDir, "data directory of recount dev")
	fromEnv(flags, "data")
	schemaFlag(flags, &d.schema)
	return d
}

func schemaFlag(flags *pflag.FlagSet, schema *string) {
	flags.StringVar(schema, "schema", migrations.DefaultSchema, "schema of the log in the database")
	fromEnv(flags, "schema")
}

// describe names a database for people, without its password.
func describe(dsn string) string {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "of an unreadable address"
	}
	return fmt.Sprintf("%s on %s", c.Database, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
}
