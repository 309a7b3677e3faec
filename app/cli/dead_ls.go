package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) deadList(d *database) *cobra.Command {
	var f deadFlags
	var group bool
	var limit int
	cmd := &cobra.Command{
		Use:     "ls NAME",
		Short:   "List the dead letters of a subscription: events that are not tried again by themselves",
		Example: "  {program} dead ls mails --group\n  {program} dead ls mails --type OrderShipped",
		Args:    OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	f.register(cmd)
	cmd.Flags().BoolVar(&group, "group", false, "count them by what they died of")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to list at most, up to 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		picked, err := f.filter(cmd, nil)
		if err != nil {
			return err
		}
		if group && (!picked.IsZero() || cmd.Flags().Changed("limit")) {
			return UsageError(cmd, "--group counts all dead letters: leave out --class, --type, --stream, --error, --since, --until and --limit")
		}
		if limit < 1 || limit > 1000 {
			return UsageError(cmd, "--limit must be from 1 to 1000; it is %d", limit)
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			if group {
				groups, err := op.DeadGroups(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return out.Print(prog.Stdout, listOf(groups), func(w io.Writer) { groupTable(w, groups) })
			}
			var letters []delivery.DeadLetter
			q := delivery.DeadQuery{DeadFilter: picked, Limit: limit}
			for {
				page, next, err := op.Dead(cmd.Context(), args[0], q)
				if err != nil {
					return err
				}
				letters = append(letters, page...)
				if q.Limit, q.Cursor = limit-len(letters), next; next == "" || q.Limit <= 0 {
					break
				}
			}
			return out.Print(prog.Stdout, listOf(letters), func(w io.Writer) { deadTable(w, letters) })
		})
	}
	return cmd
}

func deadTable(w io.Writer, all []delivery.DeadLetter) {
	fmt.Fprintln(w, "POSITION\tTYPE\tSTREAM\tCLASS\tATTEMPTS\tDEAD SINCE\tERROR")
	for _, l := range all {
		class := l.Class
		if l.Wanted != "" {
			class += ", to " + l.Wanted
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Position, Cell(l.Type, 60), Cell(l.Stream, 60), class, l.Attempts, timeCell(l.DeadAt), Cell(l.Error, 120))
	}
}

func groupTable(w io.Writer, all []delivery.DeadGroup) {
	fmt.Fprintln(w, "COUNT\tCLASS\tPOSITIONS\tOLDEST\tNEWEST\tERROR")
	for _, g := range all {
		fmt.Fprintf(w, "%d\t%s\t%d to %d\t%s\t%s\t%s\n", g.Count, g.Class, g.First, g.Last, timeCell(&g.OldestAt), timeCell(&g.NewestAt), Cell(g.Error, 120))
	}
}
