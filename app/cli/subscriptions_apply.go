package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) subscriptionsApply(d *database) *cobra.Command {
	return prog.applyTo(&cobra.Command{}, d)
}

// applyTo makes cmd the command.
func (prog *Program) applyTo(cmd *cobra.Command, d *database) *cobra.Command {
	var o delivery.ApplyOptions
	cmd.Use, cmd.Args = "apply FILE", OneArg("file")
	cmd.Short = "Make and change subscriptions so that they are what a file says; the same again changes nothing"
	cmd.Long = `Make and change subscriptions so that they are what a file says, and print what that changes. FILE is JSON, a
definition or {"subscriptions":[…]}; - is stdin. All are checked before the first is changed, and
the same again changes nothing.`
	cmd.Example = "  {program} apply subscriptions.json --dry-run"
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say what would be changed")
	cmd.Flags().BoolVar(&o.Prune, "prune", false, "remove those that are not in the file")
	cmd.Flags().BoolVar(&o.Force, "discard-dead", false, "with --prune: also if they have dead letters")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Force && !o.Prune {
			return UsageError(cmd, "--discard-dead goes with --prune")
		}
		text, err := prog.readFile(args[0])
		if err != nil {
			return err
		}
		all, err := delivery.ParseDefinitions(text)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		o.Actor = actor()
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			changes, err := op.Apply(cmd.Context(), all, o)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(changes), func(w io.Writer) { changesTable(w, changes) })
		})
	}
	return cmd
}

// readFile reads a file; - is stdin.
func (prog *Program) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(prog.Stdin)
	}
	return os.ReadFile(name)
}
