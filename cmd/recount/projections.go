package main

import (
	"context"
	"fmt"
	"io"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/projections"
)

func (a *app) projectionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "projections", Short: "Look at the projections, and steer them"}
	d := databaseFlags(cmd, "a server does it, see --server of the commands")
	return group(cmd, append(a.operationCommands(d),
		a.projectionsList(d), a.projectionsShow(d), a.projectionsPause(d), a.projectionsResume(d), a.projectionsSkip(d))...)
}

func (a *app) projectionsList(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the projections, how far they are and who runs them",
		Args:  noArgs,
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return where.with(cmd.Context(), func(op operator) error {
			all, err := op.List(cmd.Context())
			if err != nil {
				return err
			}
			return out.print(a.stdout, listOf(all), func(w io.Writer) { statusTable(w, all) })
		})
	}
	return cmd
}

func statusTable(w io.Writer, all []projections.Status) {
	fmt.Fprintln(w, "NAME\tGENERATION\tVERSION\tSTATE\tPOSITION\tLAG\tEVENTS\tOWNER")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%d events, %.1fs\t%d\t%s\n",
			s.Projection, s.Generation, s.Version, s.State, s.Position, s.LagEvents, s.LagSeconds, s.Events, s.Owner)
	}
}

func (a *app) projectionsShow(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Print all about a projection: how far it is, what it stopped on and skips, its operations",
		Args:  oneArg("projection"),
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return where.with(cmd.Context(), func(op operator) error {
			v, err := op.Details(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.print(a.stdout, v, func(w io.Writer) { showTable(w, v) })
		})
	}
	return cmd
}

func showTable(w io.Writer, v projections.Details) {
	statusTable(w, v.Generations)
	for _, s := range v.Generations {
		if f := s.Failure; f != nil {
			fmt.Fprintf(w, "\ngeneration %d stopped at %s", s.Generation, f.At.Format(timeFormat))
			if f.Position != 0 {
				fmt.Fprintf(w, " on event %s, %s in %s, position %d", f.EventID, cell(f.Type, 60), f.Stream, f.Position)
			}
			fmt.Fprintf(w, "\nerror: %s\nhint: %s\n", cell(f.Error, 4000), f.Hint)
		}
		if t := s.Trouble; t != nil {
			fmt.Fprintf(w, "\ngeneration %d tries again since %s\nerror: %s\n", s.Generation, t.At.Format(timeFormat), cell(t.Error, 4000))
		}
	}
	if len(v.Operations) > 0 {
		fmt.Fprintln(w)
		operationTable(w, v.Operations)
	}
	if len(v.Skips) == 0 {
		return
	}
	fmt.Fprintln(w, "\nSKIPPED\tEVENT\tTYPE\tGENERATION\tREASON\tBY\tAT")
	skipRows(w, v.Skips)
}

func skipRows(w io.Writer, skips []projections.Skip) {
	for _, s := range skips {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n",
			s.Position, s.EventID, cell(s.Type, 60), s.Generation, cell(s.Reason, 200), cell(s.Actor, 60), s.At.UTC().Format(timeFormat))
	}
}

func (a *app) projectionsPause(d *database) *cobra.Command {
	return a.projectionsSteer(d, &cobra.Command{
		Use:   "pause NAME",
		Short: "Stop a projection, whichever process runs it, until it is resumed",
	}, true, operator.Pause)
}

func (a *app) projectionsResume(d *database) *cobra.Command {
	return a.projectionsSteer(d, &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a projection go on that was paused, or has stopped on an event",
	}, false, operator.Resume)
}

func (a *app) projectionsSteer(d *database, cmd *cobra.Command, paused bool, steer func(operator, context.Context, string) error) *cobra.Command {
	cmd.Args = oneArg("projection")
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return where.with(cmd.Context(), func(op operator) error {
			if err := steer(op, cmd.Context(), args[0]); err != nil {
				return err
			}
			now := "resumed"
			if paused {
				now = "paused"
			}
			return out.print(a.stdout, projections.Desired{Name: args[0], Paused: paused}, func(w io.Writer) { fmt.Fprintln(w, args[0], "is", now) })
		})
	}
	return cmd
}

func (a *app) projectionsSkip(d *database) *cobra.Command {
	var reason string
	var position int64
	cmd := &cobra.Command{
		Use:   "skip NAME --reason TEXT",
		Short: "Leave the event that a projection stopped on out of it, for ever, and go on",
		Long: `Leave the event that a projection stopped on out of it, for ever, and go on. The event stays in the
log; that it was left out, why and by whom is kept and shown by recount projections show.`,
		Args: oneArg("projection"),
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.Flags().StringVar(&reason, "reason", "", "why the event may be left out")
	cmd.Flags().Int64Var(&position, "position", 0, "position of the event, to skip no other (default whichever it is)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if reason == "" {
			return usageError(cmd, "say why with --reason TEXT; it is kept")
		}
		if position < 0 {
			return usageError(cmd, "--position must not be negative")
		}
		return where.with(cmd.Context(), func(op operator) error {
			skips, err := op.Skip(cmd.Context(), args[0], position, reason, actor())
			if err != nil {
				return err
			}
			return out.print(a.stdout, listOf(skips), func(w io.Writer) {
				fmt.Fprintln(w, "SKIPPED\tEVENT\tTYPE\tGENERATION\tREASON\tBY\tAT")
				skipRows(w, skips)
			})
		})
	}
	return cmd
}

// actor names who gives an order.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
