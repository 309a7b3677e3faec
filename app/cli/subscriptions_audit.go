package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
)

// maxAudit is how many entries the API gives at once.
const maxAudit = 500

func (prog *Program) subscriptionsAudit(d *database) *cobra.Command {
	limit := 50
	cmd := &cobra.Command{
		Use:   "audit NAME",
		Short: "List what operators did with a subscription, when, who and why, the last first",
		Args:  OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "how many to print at most")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 1 || limit > maxAudit {
			return UsageError(cmd, "--limit must be from 1 to %d; it is %d", maxAudit, limit)
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			all, err := op.Audit(cmd.Context(), args[0], limit)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) { auditTable(w, all) })
		})
	}
	return cmd
}

func auditTable(w io.Writer, all []operations.AuditEntry) {
	fmt.Fprintln(w, "AT\tACTOR\tACTION\tDETAIL")
	for _, e := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", timeCell(&e.At), Cell(e.Actor, 60), e.Action, Cell(e.Detail, 400))
	}
}
