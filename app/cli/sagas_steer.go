package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasPause(d *database) *cobra.Command {
	return prog.sagasSteer(d, sagas.PauseAll, &cobra.Command{
		Use:   "pause SAGA --reason TEXT",
		Short: "Let no instance of a saga go on or begin, until it is resumed: pauses its subscriptions",
	})
}

func (prog *Program) sagasResume(d *database) *cobra.Command {
	return prog.sagasSteer(d, sagas.ResumeAll, &cobra.Command{
		Use:   "resume SAGA --reason TEXT",
		Short: "Let the instances of a saga go on: resumes its subscriptions",
	})
}

func (prog *Program) sagasRedrive(d *database) *cobra.Command {
	cmd := prog.sagasSteer(d, sagas.RedriveAll, &cobra.Command{
		Use:   "redrive SAGA [ID] --reason TEXT",
		Short: "Try again what a saga could not be told: redrives all dead letters of its subscriptions, or the steps of an instance",
	})
	cmd.Args = ArgsBetween(1, 2)
	return cmd
}

func (prog *Program) sagasSteer(d *database, do sagas.Steering, cmd *cobra.Command) *cobra.Command {
	var reason string
	cmd.Args = OneArg("saga")
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().StringVar(&reason, "reason", "", "why; the audit of the subscriptions keeps it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if reason == "" {
			return UsageError(cmd, "say why with --reason TEXT; it is kept")
		}
		return target.withSagas(cmd.Context(), func(op sagaOperator) error {
			var done sagas.Steered
			var err error
			if len(args) > 1 {
				done, err = op.Redrive(cmd.Context(), args[0], args[1], reason, actor())
			} else {
				done, err = op.Steer(cmd.Context(), args[0], do, reason, actor())
			}
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, done, func(w io.Writer) {
				if do == sagas.RedriveAll {
					fmt.Fprintf(w, "%d dead letters of %s are tried again\n", done.Redriven, strings.Join(done.Subscriptions, " and "))
				} else {
					fmt.Fprintf(w, "%s: %sd %s\n", done.Saga, do, strings.Join(done.Subscriptions, " and "))
				}
			})
		})
	}
	return cmd
}
