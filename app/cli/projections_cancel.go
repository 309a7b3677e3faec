package cli

import (
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
)

func (prog *Program) projectionsCancel(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel OPERATION",
		Short: "End a rebuild, rollback, verification or repair that is running",
		Args:  OneArg("operation"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := uuid.Parse(args[0])
		if err != nil {
			return &Failure{ExitUsage, fmt.Errorf("%q is no operation: %w", args[0], err), "{program} projections show NAME lists them"}
		}
		return target.with(cmd.Context(), func(operator operator) error {
			op, err := operator.Cancel(cmd.Context(), id)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, op, func(w io.Writer) { operationTable(w, []operations.Operation{op}) })
		})
	}
	return cmd
}
