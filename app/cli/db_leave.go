package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
)

func (prog *Program) dbLeave(d *database) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Take this program's app off the log: what it has there is removed, events stay",
		Long: `Take this program's app off the log. Its read models, snapshots and subscriptions are removed, with
their dead letters, and its name. The events stay, for other apps on the log and for this one if it
comes back, and tables of its modules: migrate down --module NAME removes those before. Nothing of
other apps is touched. Refused while a server runs any of it; stop all of them first.`,
		Args: NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.withService(cmd.Context(), app.Options{}, func(s *app.Service) error {
			b, err := s.Belongings(cmd.Context())
			if err != nil {
				return err
			}
			consequence := fmt.Sprintf("this removes %d projections and %d subscriptions with %d dead letters of app %s from schema %s of database %s",
				len(b.Projections), len(b.Subscriptions), b.DeadLetters, b.App, d.schema, describe(s.Pool.Config().ConnString()))
			if err := prog.confirm(cmd.Context(), yes, consequence); err != nil {
				return err
			}
			if b, err = s.LeaveLog(cmd.Context(), actor()); err != nil {
				return err
			}
			return out.Print(prog.Stdout, b, func(w io.Writer) {
				for _, name := range b.Projections {
					fmt.Fprintf(w, "projection %s is removed\n", name)
				}
				for _, name := range b.Subscriptions {
					fmt.Fprintf(w, "subscription %s is removed\n", name)
				}
				fmt.Fprintf(w, "app %s has left the log; its events are there still\n", b.App)
			})
		})
	}
	return cmd
}
