package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) windowsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "windows", Short: "Inspect what subscriptions count in windows of time"}
	d := prog.databaseFlags(cmd, "a server does it, see --server of the commands")
	return Group(cmd, prog.windowsList(d), prog.windowsShow(d))
}

func (prog *Program) windowsList(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the subscriptions that count in windows, how far their time is, and how many events came late",
		Args:  NoArgs,
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			all, err := op.Windows(cmd.Context())
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tKIND\tWATERMARK\tOPEN\tKEPT\tCLOSINGS\tLATE\tDROPPED")
				for _, s := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", s.Subscription, s.Kind, cmp.Or(timeCell(s.Watermark), "no event"), s.Open, s.Kept, s.Closings, s.Late, s.Dropped)
				}
			})
		})
	}
	return cmd
}

func (prog *Program) windowsShow(d *database) *cobra.Command {
	var q delivery.WindowQuery
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Print the windows of a subscription that are open, with what they have counted",
		Example: "  {program} windows show sensor-minute --key hall-1\n  {program} windows show sensor-minute --all --limit 1000",
		Args:    OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().StringVar(&q.Key, "key", "", "only windows of this key")
	cmd.Flags().BoolVar(&q.Closed, "all", false, "those too that are closed and may be updated")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "how many to print at most, up to 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.Limit < 1 || q.Limit > 1000 {
			return UsageError(cmd, "--limit must be from 1 to 1000; it is %d", q.Limit)
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			all, _, err := op.WindowsOf(cmd.Context(), args[0], q)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) { windowTable(w, all) })
		})
	}
	return cmd
}

func windowTable(w io.Writer, all []delivery.OneWindow) {
	fmt.Fprintln(w, "KEY\tSTART\tEND\tSTATE\tEVENTS\tLATE\tVALUES")
	for _, one := range all {
		state := "open"
		if one.Closed {
			state = fmt.Sprintf("revision %d", one.Closings-1)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", Cell(one.Key, 60), timeCell(&one.Start), timeCell(&one.End), state, one.Events, one.Late, Cell(valuesCell(one.Values), 200))
	}
}

func valuesCell(values map[string]json.RawMessage) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, name+"="+string(values[name]))
	}
	return strings.Join(all, " ")
}
