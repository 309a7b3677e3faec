package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/projections"
)

func (a *app) projectionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "projections", Short: "Look at the projections, and steer them"}
	d := databaseFlags(cmd)
	return group(cmd, append(a.operationCommands(d),
		a.projectionsList(d), a.projectionsShow(d), a.projectionsPause(d), a.projectionsResume(d), a.projectionsSkip(d))...)
}

// withAdmin gives access to the projections.
func (d *database) withAdmin(ctx context.Context, use func(*projections.Admin) error) error {
	err := d.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
		return use(projections.NewAdmin(pool, d.schema, log))
	})
	switch {
	case errors.Is(err, projections.ErrNotFound):
		return &failure{exitCode(err), err, "recount projections ls" + schemaArg(d.schema) + " lists them"}
	case errors.Is(err, projections.ErrNotFailed):
		return &failure{exitCode(err), err, "recount projections show NAME" + schemaArg(d.schema) + " says what it is doing"}
	}
	return err
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
		all, err := where.list(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(a.stdout, listOf(all), func(w io.Writer) { statusTable(w, all) })
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
		v, err := where.details(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return out.print(a.stdout, v, func(w io.Writer) { showTable(w, v) })
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

// steered is what projections pause and resume print, as JSON.
type steered struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

func (s steered) String() string {
	if s.Paused {
		return s.Name + " is paused"
	}
	return s.Name + " is resumed"
}

func (a *app) projectionsPause(d *database) *cobra.Command {
	return a.projectionsSteer(d, &cobra.Command{
		Use:   "pause NAME",
		Short: "Stop a projection, whichever process runs it, until it is resumed",
	}, true, (*projections.Admin).Pause)
}

func (a *app) projectionsResume(d *database) *cobra.Command {
	return a.projectionsSteer(d, &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a projection go on that was paused, or has stopped on an event",
	}, false, (*projections.Admin).Resume)
}

func (a *app) projectionsSteer(d *database, cmd *cobra.Command, paused bool, steer func(*projections.Admin, context.Context, string) error) *cobra.Command {
	cmd.Args = oneArg("projection")
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return d.withAdmin(cmd.Context(), func(admin *projections.Admin) error {
			if err := steer(admin, cmd.Context(), args[0]); err != nil {
				return err
			}
			v := steered{args[0], paused}
			return out.print(a.stdout, v, func(w io.Writer) { fmt.Fprintln(w, v) })
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
	cmd.Flags().StringVar(&reason, "reason", "", "why the event may be left out")
	cmd.Flags().Int64Var(&position, "position", 0, "position of the event, to skip no other (default whichever it is)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if reason == "" {
			return usageError(cmd, "say why with --reason TEXT; it is kept")
		}
		return d.withAdmin(cmd.Context(), func(admin *projections.Admin) error {
			skips, err := admin.Skip(cmd.Context(), args[0], position, reason, actor())
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
