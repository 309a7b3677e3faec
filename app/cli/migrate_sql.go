package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

func (prog *Program) migrateSQL(d *migrating) *cobra.Command {
	var from, to uint
	cmd := &cobra.Command{
		Use:     "sql",
		Short:   "Print a migration as a script for psql",
		Example: "  {program} migrate sql --from 1 | psql --set ON_ERROR_STOP=1 \"$DATABASE_URL\"",
		Args:    NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := d.set()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("to") {
				to = set.Latest()
			}
			script, err := set.SQL(d.schema, from, to)
			if err != nil {
				return &Failure{ExitUsage, err, ""}
			}
			_, err = io.WriteString(prog.Stdout, script)
			return err
		},
	}
	cmd.Flags().UintVar(&from, "from", 0, "version to begin at")
	cmd.Flags().UintVar(&to, "to", migrations.Latest(), "version to end at; below --from for the way down")
	return cmd
}
