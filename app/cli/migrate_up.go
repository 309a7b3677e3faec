package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

func (prog *Program) migrateUp(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Take the tables to the version of this program",
		Args:  NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.RunE = d.located(func(ctx context.Context, dsn string) error {
		done, err := migrations.Up(ctx, dsn, d.schema)
		if err != nil {
			return err
		}
		return out.Print(prog.Stdout, move(done), func(w io.Writer) { fmt.Fprintln(w, move(done)) })
	})
	return cmd
}
