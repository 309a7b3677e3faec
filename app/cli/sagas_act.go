package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasCancel(d *database) *cobra.Command {
	return prog.sagasAct(d, sagas.Cancel, &cobra.Command{
		Use:     "cancel SAGA ID --reason TEXT",
		Short:   "Begin nothing new, and undo what is done",
		Example: "  {program} sagas cancel checkout 1004 --reason 'the customer called'",
	}, nil)
}

func (prog *Program) sagasTerminate(d *database) *cobra.Command {
	return prog.sagasAct(d, sagas.Terminate, &cobra.Command{
		Use:   "terminate SAGA ID --reason TEXT",
		Short: "End an instance as it is: nothing is undone",
	}, nil)
}

func (prog *Program) sagasRetry(d *database) *cobra.Command {
	return prog.sagasAct(d, sagas.Retry, &cobra.Command{
		Use:   "retry SAGA ID STEP --reason TEXT",
		Short: "Try again to undo a step that could not be undone",
	}, nil)
}

func (prog *Program) sagasSkip(d *database) *cobra.Command {
	return prog.sagasAct(d, sagas.Skip, &cobra.Command{
		Use:   "skip SAGA ID STEP --reason TEXT",
		Short: "Go on as if an open step were done, or one that cannot be undone were undone",
	}, nil)
}

// sagasAct is a command that acts on an instance, or on a step if its usage has one. More fills in the rest.
func (prog *Program) sagasAct(d *database, act sagas.Act, cmd *cobra.Command, more func(*sagas.Intervene) error) *cobra.Command {
	in := sagas.Intervene{Intervened: sagas.Intervened{Act: act}}
	ofStep := act == sagas.Retry || act == sagas.Skip || act == sagas.Answered
	cmd.Args = ArgsBetween(2, 2)
	if ofStep {
		cmd.Args = ArgsBetween(3, 3)
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why; it is kept")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if in.Reason == "" {
			return UsageError(cmd, "say why with --reason TEXT; it is kept")
		}
		if ofStep {
			in.Step = args[2]
		}
		in.Actor = actor()
		if more != nil {
			if err := more(&in); err != nil {
				return UsageError(cmd, "%s", err.Error())
			}
		}
		return target.withSagas(cmd.Context(), func(op sagaOperator) error {
			done, err := op.Act(cmd.Context(), args[0], args[1], in)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, done, func(w io.Writer) { fmt.Fprintf(w, "%s of %s is %s\n", done.ID, done.Saga, done.Status) })
		})
	}
	return cmd
}
