package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (prog *Program) dbURL(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "url",
		Short:   "Print the address of the database that commands work on",
		Example: "  psql \"$({program} db url)\"",
		Args:    NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.RunE = d.located(func(ctx context.Context, dsn string) error {
		address := struct {
			URL string `json:"url"`
		}{dsn}
		return out.Print(prog.Stdout, address, func(w io.Writer) { fmt.Fprintln(w, dsn) })
	})
	return cmd
}
