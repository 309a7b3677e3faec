package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (prog *Program) migrateDown(d *migrating) *cobra.Command {
	var to uint
	var yes bool
	cmd := &cobra.Command{
		Use:     "down --to VERSION",
		Short:   "Take the tables back to an earlier version, with the loss of what it cannot hold",
		Example: "  {program} migrate down --to 0   # removes the log",
		Args:    NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.Flags().UintVar(&to, "to", 0, "version to go back to; 0 removes all tables, and all events with them")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("to") {
			return UsageError(cmd, "say how far with --to VERSION")
		}
		dsn, err := d.locateOwn(cmd.Context())
		if err != nil {
			return err
		}
		set, err := d.set()
		if err != nil {
			return err
		}
		now, err := set.Status(cmd.Context(), dsn, d.schema)
		if err != nil {
			return err
		}
		if to > now.Current {
			err := UsageError(cmd, "version %d is above the current version %d", to, now.Current)
			err.Advice = "{program} migrate up goes up"
			return err
		}
		if to < now.Current {
			consequence := fmt.Sprintf("going from version %d to %d in %s of database %s deletes data for ever", now.Current, to, d.tables(), describe(dsn))
			if err := prog.confirm(cmd.Context(), yes, consequence); err != nil {
				return err
			}
		}
		done, err := set.Down(cmd.Context(), dsn, d.schema, to)
		if err != nil {
			return err
		}
		return out.Print(prog.Stdout, move{From: done.From, To: done.To}, func(w io.Writer) { fmt.Fprintln(w, move{From: done.From, To: done.To}) })
	}
	return cmd
}
