package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) dbURL(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "url",
		Short:   "Print the address of the database that commands work on",
		Example: "  psql \"$(recount db url)\"",
		Args:    noArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = d.located(func(ctx context.Context, dsn string) error {
		address := struct {
			URL string `json:"url"`
		}{dsn}
		return out.print(a.stdout, address, func(w io.Writer) { fmt.Fprintln(w, dsn) })
	})
	return cmd
}
