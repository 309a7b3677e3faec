package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

func (a *app) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make and change the tables of the log",
		Long: `Make and change the tables of the log. Any number of processes may migrate at once: one works, the
others wait. It needs a direct connection, not one through a pooler in transaction mode.`,
	}
	d := databaseFlags(cmd, "that of the running recount dev")
	return group(cmd, a.migrateUp(d), a.migrateDown(d), a.migrateStatus(d), a.migrateSQL(d), a.migrateForce(d))
}

// move is what a migration did, as JSON.
type move struct {
	From uint `json:"from"`
	To   uint `json:"to"`
}

func (m move) String() string {
	if m.From == m.To {
		return fmt.Sprintf("already at version %d, nothing to do", m.To)
	}
	return fmt.Sprintf("migrated from version %d to %d", m.From, m.To)
}

func (a *app) migrateUp(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Take the tables to the version of this program",
		Args:  noArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dsn, err := d.locate(cmd.Context())
		if err != nil {
			return err
		}
		done, err := migrations.Up(cmd.Context(), dsn, d.schema)
		if err != nil {
			return err
		}
		return out.print(a.stdout, move(done), func(w io.Writer) { fmt.Fprintln(w, move(done)) })
	}
	return cmd
}

func (a *app) migrateDown(d *database) *cobra.Command {
	var to uint
	var yes bool
	cmd := &cobra.Command{
		Use:     "down --to VERSION",
		Short:   "Take the tables back to an earlier version, with the loss of what it cannot hold",
		Example: "  recount migrate down --to 0   # removes the log",
		Args:    noArgs,
	}
	out := outputFlag(cmd)
	cmd.Flags().UintVar(&to, "to", 0, "version to go back to; 0 removes all tables, and all events with them")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("to") {
			return usageError(cmd, "say how far with --to VERSION")
		}
		dsn, err := d.locate(cmd.Context())
		if err != nil {
			return err
		}
		now, err := migrations.Status(cmd.Context(), dsn, d.schema)
		if err != nil {
			return err
		}
		if to > now.Current {
			err := usageError(cmd, "version %d is above the current version %d", to, now.Current)
			err.hint = "recount migrate up goes up"
			return err
		}
		if to < now.Current {
			consequence := fmt.Sprintf("going from version %d to %d in schema %s of database %s deletes data for ever", now.Current, to, d.schema, describe(dsn))
			if err := a.confirm(cmd.Context(), yes, consequence); err != nil {
				return err
			}
		}
		done, err := migrations.Down(cmd.Context(), dsn, d.schema, to)
		if err != nil {
			return err
		}
		return out.print(a.stdout, move(done), func(w io.Writer) { fmt.Fprintln(w, move(done)) })
	}
	return cmd
}

// schemaStatus is what migrate status prints, as JSON.
type schemaStatus struct {
	Schema  string `json:"schema"`
	Current uint   `json:"current"`
	Latest  uint   `json:"latest"`
	Pending bool   `json:"pending"`
	Dirty   bool   `json:"dirty"`
}

func (a *app) migrateStatus(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which version the tables are at; exit code 8 if they are behind or dirty",
		Args:  noArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dsn, err := d.locate(cmd.Context())
		if err != nil {
			return err
		}
		now, err := migrations.Status(cmd.Context(), dsn, d.schema)
		if err != nil {
			return err
		}
		status := schemaStatus{d.schema, now.Current, now.Latest, now.Pending(), now.Dirty}
		err = out.print(a.stdout, status, func(w io.Writer) {
			fmt.Fprintf(w, "SCHEMA\tCURRENT\tLATEST\tPENDING\tDIRTY\n%s\t%d\t%d\t%t\t%t\n",
				status.Schema, status.Current, status.Latest, status.Pending, status.Dirty)
		})
		switch {
		case err != nil:
			return err
		case now.Dirty:
			dirty := &migrations.DirtyError{Schema: d.schema, Version: now.Current}
			return &failure{exitCheckFailed, dirty, dirty.Hint()}
		case now.Pending():
			return behind(d.schema, now, exitCheckFailed)
		}
		return nil
	}
	return cmd
}

// behind says that the tables are older than this program needs them.
func behind(schema string, now migrations.State, code int) error {
	return &failure{code,
		fmt.Errorf("schema %s is at version %d, this program needs version %d", schema, now.Current, now.Latest),
		"run recount migrate up" + schemaArg(schema)}
}

func (a *app) migrateSQL(d *database) *cobra.Command {
	var from, to uint
	cmd := &cobra.Command{
		Use:     "sql",
		Short:   "Print a migration as a script for psql",
		Example: "  recount migrate sql --from 1 | psql --set ON_ERROR_STOP=1 \"$DATABASE_URL\"",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			script, err := migrations.SQL(d.schema, from, to)
			if err != nil {
				return &failure{exitUsage, err, ""}
			}
			_, err = io.WriteString(a.stdout, script)
			return err
		},
	}
	cmd.Flags().UintVar(&from, "from", 0, "version to begin at")
	cmd.Flags().UintVar(&to, "to", migrations.Latest(), "version to end at; below --from for the way down")
	return cmd
}

// forced is what migrate force prints, as JSON.
type forced struct {
	Schema  string `json:"schema"`
	Version uint64 `json:"version"`
}

func (a *app) migrateForce(d *database) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "force VERSION",
		Short: "Declare which version the tables are at, after a migration was cut off",
		Args:  oneArg("version"),
	}
	out := outputFlag(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		version, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil {
			return usageError(cmd, "version %q is not a whole number", args[0])
		}
		if latest := migrations.Latest(); uint(version) > latest {
			return usageError(cmd, "version %d is unknown: the highest known version is %d", version, latest)
		}
		dsn, err := d.locate(cmd.Context())
		if err != nil {
			return err
		}
		consequence := fmt.Sprintf("schema %s of database %s will count as being at version %d, whatever its tables are", d.schema, describe(dsn), version)
		if err := a.confirm(cmd.Context(), yes, consequence); err != nil {
			return err
		}
		if err := migrations.Force(cmd.Context(), dsn, d.schema, uint(version)); err != nil {
			return err
		}
		return out.print(a.stdout, forced{d.schema, version}, func(w io.Writer) {
			fmt.Fprintf(w, "schema %s counts as being at version %d\n", d.schema, version)
		})
	}
	return cmd
}
