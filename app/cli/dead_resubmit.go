package cli

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) deadResubmit(d *database) *cobra.Command {
	var data string
	var yes bool
	r := delivery.Resubmission{}
	cmd := &cobra.Command{
		Use:   "resubmit NAME POSITION --reason TEXT",
		Short: "Append a corrected event in the place of a dead letter, which is removed",
		Long: `Append a corrected event to the stream of a dead letter, which is removed, both or neither. The metadata of the new
event name the old one. All subscriptions that want such an event get it, not only this one.

It is for events of others. Aggregates and read models of this program have had an event of theirs, and would take the new one
beside it: an order would be placed twice. Mend the receiver and redrive, or append a correction by a command and discard;
--allow does it nevertheless. An event that this program cannot read stops them, and needs --force.`,
		Example: `  {program} dead resubmit mails 1200 --new-data '{"customer_id":"ann"}' --reason 'the customer was missing'`,
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().StringVar(&data, "new-data", "", "the data of the new event, as JSON, @FILE or - for stdin (default that of the old one)")
	cmd.Flags().StringVar(&r.Type, "type", "", "the type of the new event (default that of the old one)")
	cmd.Flags().IntVar(&r.SchemaVersion, "schema-version", 0, "the version of the data (default that of the old event)")
	cmd.Flags().BoolVar(&r.Allow, "allow", false, "also an event that aggregates and read models take beside the old one")
	cmd.Flags().BoolVar(&r.Force, "force", false, "also an event that this program cannot read")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; it is kept")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, position, err := nameAndPosition(cmd, args)
		switch {
		case err != nil:
			return err
		case r.Reason == "":
			return UsageError(cmd, "say why with --reason TEXT; it is kept")
		case data != "":
			text, err := readArgument(prog, "data", data, parseJSON[jsontext.Value])
			if err != nil {
				return err
			}
			r.Data = text
		}
		if err := prog.confirm(cmd.Context(), yes, fmt.Sprintf("this appends an event in the place of position %d", position)); err != nil {
			return err
		}
		r.Position, r.Actor = position, actor()
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			done, err := op.Resubmit(cmd.Context(), name, r)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, done, func(w io.Writer) {
				fmt.Fprintf(w, "appended to %s at position %d, in the place of the dead letter at %d\n", Cell(done.Stream, 200), done.Position, position)
			})
		})
	}
	return cmd
}
