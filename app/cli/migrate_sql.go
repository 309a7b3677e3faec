package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

func (prog *Program) migrateSQL(d *database) *cobra.Command {
	var from, to uint
	cmd := &cobra.Command{
		Use:     "sql",
		Short:   "Print a migration as a script for psql",
		Example: "  {program} migrate sql --from 1 | psql --set ON_ERROR_STOP=1 \"$DATABASE_URL\"",
		Args:    NoArgs,
		RunE: func(*cobra.Command, []string) error {
			script, err := migrations.SQL(d.schema, from, to)
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
