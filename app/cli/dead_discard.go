package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) deadDiscard(d *database) *cobra.Command {
	var f deadFlags
	var all, yes bool
	o := delivery.DeadOptions{}
	cmd := &cobra.Command{
		Use:     "discard NAME [POSITION...|--all] --reason TEXT",
		Short:   "Forget dead letters: their events are not delivered. The log keeps them",
		Example: "  {program} dead discard mails 1200 1207 --reason 'test orders'",
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	f.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that there are")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say how many")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why; it is kept")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, picked, err := f.picks(cmd, args, all)
		if err != nil {
			return err
		}
		if o.Reason == "" && !o.DryRun {
			return UsageError(cmd, "say why with --reason TEXT; it is kept")
		}
		o.Filter, o.All, o.Actor = picked, all, actor()
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			count := o
			count.DryRun = true
			done, err := op.Discard(cmd.Context(), name, count)
			if err == nil && !o.DryRun && done.Count > 0 {
				if err := prog.confirm(cmd.Context(), yes, fmt.Sprintf("this forgets %d dead letters of %s", done.Count, name)); err != nil {
					return err
				}
				done, err = op.Discard(cmd.Context(), name, o)
			}
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, done, func(w io.Writer) { fmt.Fprintln(w, describeWished(done, "forgotten")) })
		})
	}
	return cmd
}
