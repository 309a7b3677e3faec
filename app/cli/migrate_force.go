package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

// forced is what migrate force prints, as JSON.
type forced struct {
	Schema  string `json:"schema"`
	Version uint64 `json:"version"`
}

func (prog *Program) migrateForce(d *database) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "force VERSION",
		Short: "Declare which version the tables are at, after a migration was cut off",
		Args:  OneArg("version"),
	}
	out := OutputFlag(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		version, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil {
			return UsageError(cmd, "version %q is not a whole number", args[0])
		}
		if latest := migrations.Latest(); uint(version) > latest {
			return UsageError(cmd, "version %d is unknown: the highest known version is %d", version, latest)
		}
		dsn, err := d.locate(cmd.Context())
		if err != nil {
			return err
		}
		consequence := fmt.Sprintf("schema %s of database %s will count as being at version %d, whatever its tables are", d.schema, describe(dsn), version)
		if err := prog.confirm(cmd.Context(), yes, consequence); err != nil {
			return err
		}
		if err := migrations.Force(cmd.Context(), dsn, d.schema, uint(version)); err != nil {
			return err
		}
		return out.Print(prog.Stdout, forced{d.schema, version}, func(w io.Writer) {
			fmt.Fprintf(w, "schema %s counts as being at version %d\n", d.schema, version)
		})
	}
	return cmd
}
