package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

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
