package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) deadRedrive(d *database) *cobra.Command {
	var f deadFlags
	var all bool
	o := delivery.DeadOptions{}
	cmd := &cobra.Command{
		Use:   "redrive NAME [POSITION...|--all]",
		Short: "Let dead letters be tried again, as if they had never been",
		Long: `Let dead letters be tried again, as if they had never been, in order of position for each key. Events of their key
that came later may have been delivered before, unless the subscription holds them; the deliveries say that they are redrives.`,
		Example: "  {program} dead redrive mails --all\n  {program} dead redrive mails --all --rate 10",
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	f.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that there are")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say how many")
	cmd.Flags().Float64Var(&o.Rate, "rate", 0, "how many to try in a second; 0: all at once")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why; it is kept")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, picked, err := f.picks(cmd, args, all)
		if err != nil {
			return err
		}
		o.Filter, o.All, o.Actor = picked, all, actor()
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			done, err := op.Redrive(cmd.Context(), name, o)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, done, func(w io.Writer) { fmt.Fprintln(w, describeWished(done, "tried again")) })
		})
	}
	return cmd
}
