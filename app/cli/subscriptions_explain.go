package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) subscriptionsExplain(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "explain NAME POSITION|EVENT-ID",
		Short:   "Say what became of an event for a subscription, or what it waits for",
		Example: "  {program} subscriptions explain mails 1200",
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 {
			return UsageError(cmd, "%s needs a subscription and a position or the id of an event, got %d arguments", cmd.CommandPath(), len(args))
		}
		position, notNumber := strconv.ParseInt(args[1], 10, 64)
		id, notID := uuid.Parse(args[1])
		if notID != nil && (notNumber != nil || position < 1) {
			return UsageError(cmd, "an event is a position from 1 on, or the id of an event, not %q", args[1])
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			var x delivery.Explanation
			var err error
			if notID == nil {
				x, err = op.ExplainEvent(cmd.Context(), args[0], id)
			} else {
				x, err = op.Explain(cmd.Context(), args[0], position)
			}
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, x, func(w io.Writer) { becameTable(w, x) })
		})
	}
	return cmd
}

func becameTable(w io.Writer, x delivery.Explanation) {
	fmt.Fprintf(w, "%s: %s\n", x.State, Cell(x.Text, 4000))
	if x.EventID != nil {
		fmt.Fprintf(w, "event %s %s in %s, position %d\n", x.EventID, Cell(x.Type, 60), Cell(x.Stream, 200), x.Position)
	}
	if x.Key != "" && x.Partition != nil {
		fmt.Fprintf(w, "key %s, partition %d\n", Cell(x.Key, 200), *x.Partition)
	}
	attemptTable(w, x.Attempts)
}

func attemptTable(w io.Writer, all []delivery.AttemptRecord) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "\nATTEMPT\tAT\tTOOK\tOUTCOME\tCHARGED\tERROR")
	for _, a := range all {
		fmt.Fprintf(w, "%d\t%s\t%.1fms\t%s\t%v\t%s\n", a.Attempt, a.At.UTC().Format(timeFormat), a.Milliseconds, a.Outcome, a.Charged, Cell(a.Error, 200))
	}
}
