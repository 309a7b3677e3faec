package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
)

// forced is what migrate force prints, as JSON.
type forced struct {
	Schema  string `json:"schema"`
	Version uint64 `json:"version"`
}

func (prog *Program) migrateForce(d *migrating) *cobra.Command {
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
		set, err := d.set()
		if err != nil {
			return err
		}
		if latest := set.Latest(); uint(version) > latest {
			return UsageError(cmd, "version %d is unknown: the highest known version is %d", version, latest)
		}
		dsn, err := d.locateOwn(cmd.Context())
		if err != nil {
			return err
		}
		consequence := fmt.Sprintf("%s of database %s will count as being at version %d, whatever its tables are", d.tables(), describe(dsn), version)
		if err := prog.confirm(cmd.Context(), yes, consequence); err != nil {
			return err
		}
		if err := set.Force(cmd.Context(), dsn, d.schema, uint(version)); err != nil {
			return err
		}
		return out.Print(prog.Stdout, forced{d.schema, version}, func(w io.Writer) {
			fmt.Fprintf(w, "%s counts as being at version %d\n", d.tables(), version)
		})
	}
	return cmd
}
