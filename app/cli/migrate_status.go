package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

// schemaStatus is what migrate status prints, as JSON.
type schemaStatus struct {
	Schema  string `json:"schema"`
	Current uint   `json:"current"`
	Latest  uint   `json:"latest"`
	Pending bool   `json:"pending"`
	Dirty   bool   `json:"dirty"`
}

func (prog *Program) migrateStatus(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which version the tables are at; exit code 8 if they are behind or dirty",
		Args:  NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.RunE = d.located(func(ctx context.Context, dsn string) error {
		now, err := migrations.Status(ctx, dsn, d.schema)
		if err != nil {
			return err
		}
		status := schemaStatus{d.schema, now.Current, now.Latest, now.Pending(), now.Dirty}
		err = out.Print(prog.Stdout, status, func(w io.Writer) {
			fmt.Fprintf(w, "SCHEMA\tCURRENT\tLATEST\tPENDING\tDIRTY\n%s\t%d\t%d\t%t\t%t\n",
				status.Schema, status.Current, status.Latest, status.Pending, status.Dirty)
		})
		if err != nil {
			return err
		}
		if err := now.Check(d.schema); err != nil {
			return &Failure{ExitCheckFailed, err, prog.hintFor(err)}
		}
		return nil
	})
	return cmd
}
