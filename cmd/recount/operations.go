package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/snapshots"
)

func (a *app) operationCommands(d *database) []*cobra.Command {
	return []*cobra.Command{a.projectionsRebuild(d), a.projectionsRollback(d), a.projectionsVerify(d), a.projectionsRepair(d), a.projectionsCancel(d)}
}

// run does an operation, shows how far it is, and returns it when it has ended well.
func (a *app) operate(ctx context.Context, o *operating, r projections.Request) (projections.Operation, error) {
	r.Actor = actor()
	byServer, err := o.byServer()
	if err != nil {
		return projections.Operation{}, err
	}
	p := a.progress(string(r.Kind) + " " + r.Projection)
	show := a.showOperation(p)
	var op projections.Operation
	if byServer {
		op, err = (&operationsClient{server: o.server}).run(ctx, r, o.minding(p, show))
	} else {
		err = o.database.withRunner(ctx, o.every, func(runner *projections.Runner) error {
			op, err = runner.Run(ctx, r, show)
			return err
		})
	}
	p.end()
	var busy *projections.BusyError
	if errors.As(err, &busy) && !busy.Operation.Cancelling {
		err = &failure{exitConflict, err, "wait for it, or cancel it: " + o.cancelCommand(busy.Operation.ID)}
	}
	if ctx.Err() != nil {
		err = &failure{exitInterrupted, err, o.afterInterrupt(byServer, r.Projection, op)}
	}
	return op, err
}

// withRunner gives a runner that has not been started.
func (d *database) withRunner(ctx context.Context, every map[string]int, use func(*projections.Runner) error) error {
	return d.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
		codec, err := shop.NewCodec()
		if err != nil {
			return err
		}
		kept := snapshots.NewStore(pool, d.schema)
		s, err := shop.New(log, codec, shop.Config{Snapshots: kept, SnapshotEvery: every})
		if err != nil {
			return err
		}
		runner, err := projections.NewRunner(projections.Config{Pool: pool, Schema: d.schema, Store: log, Codec: codec},
			allProjections(s, kept, zerolog.Nop())...)
		if err != nil {
			return err
		}
		return use(runner)
	})
}

// showOperation returns what shows an operation, no more often than the terminal wants it.
func (a *app) showOperation(p progress) func(projections.Operation) {
	var mu sync.Mutex
	var last time.Time
	return func(op projections.Operation) {
		mu.Lock()
		defer mu.Unlock()
		if op.State == projections.OperationRunning && time.Since(last) < p.every() {
			return
		}
		last = time.Now()
		p.say(progressOf(op))
	}
}

// progressOf says in a line how far an operation is; of one that has ended, what it took.
func progressOf(op projections.Operation) string {
	line, running := op.Phase, op.State == projections.OperationRunning
	if op.Target > 0 && running {
		line += fmt.Sprintf(", position %d of %d", op.Position, op.Target)
	}
	if op.Events > 0 {
		line += fmt.Sprintf(", %d events, %.0f/s", op.Events, op.EventsPerSecond)
	}
	if op.Buckets > 0 && op.BucketsDone > 0 && running {
		line += fmt.Sprintf(", %d of %d buckets", op.BucketsDone, op.Buckets)
	}
	if op.SecondsLeft != nil {
		line += fmt.Sprintf(", %.0fs left", *op.SecondsLeft)
	}
	switch {
	case running && op.Cancelling:
		line += ", being cancelled"
	case running && op.Owner == "" && op.Phase != "waiting":
		line += ", waiting for a process to go on with it"
	}
	return line
}

func operationTable(w io.Writer, all []projections.Operation) {
	fmt.Fprintln(w, "OPERATION\tKIND\tPROJECTION\tSTATE\tGENERATION\tEVENTS\tEVENTS/S\tSECONDS\tDETAIL")
	for _, op := range all {
		until, detail := op.UpdatedAt, progressOf(op)
		if op.FinishedAt != nil {
			until, detail = *op.FinishedAt, cell(op.Error, 200)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%.0f\t%.1f\t%s\n", op.ID, op.Kind, op.Projection, op.State, op.Generation,
			op.Events, op.EventsPerSecond, until.Sub(op.CreatedAt).Seconds(), detail)
	}
}

func (a *app) projectionsRebuild(d *database) *cobra.Command {
	var o projections.Options
	var all bool
	keep, memory := 1, int64(256)
	cmd := &cobra.Command{
		Use:   "rebuild NAME|--all",
		Short: "Build a projection anew from the log, while it is read, and switch to it",
		Long: `Build a projection anew from the log, beside its present rows, and switch to it when it has caught up.
Reads go on all the time. What is killed in the middle goes on where it stopped, here when the
command is run again, or in any server that runs the projection.

--all is all read models, and the snapshots where the log has any. New snapshots begin with those of
before; recount snapshots rebuild makes them from the events alone. They have no --verify: whoever
uses one compares it with the log.`,
		Example: "  recount projections rebuild orders --verify\n  recount projections rebuild --all --throttle 20000",
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	flags := cmd.Flags()
	snapshotFlag(flags, &where.every)
	flags.BoolVar(&all, "all", false, "rebuild all projections, one after the other")
	flags.IntVar(&o.Workers, "workers", 0, "how many goroutines decode, and how many fold (default one per CPU)")
	flags.IntVar(&o.Throttle, "throttle", 0, "how many events to read in a second, more than are appended (default no limit)")
	flags.BoolVar(&o.Verify, "verify", false, "compare what was built with another fold of the log before the switch")
	flags.IntVar(&keep, "keep", keep, "how many replaced generations to keep for a rollback")
	flags.Int64Var(&memory, "memory", memory, "MiB that rows may take at once; what does not fit takes another pass over the log")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := namesOrAll(cmd, args, all)
		if err != nil {
			return err
		}
		if all {
			found, err := where.has(cmd.Context(), snapshots.Name)
			if err != nil {
				return err
			}
			if found {
				names = append(names, snapshots.Name)
			}
		}
		o.Keep, o.MemoryBytes = &keep, memory<<20
		var done []projections.Operation
		for _, name := range names {
			op, err := a.operate(cmd.Context(), where, projections.Request{Kind: projections.Rebuild, Projection: name, Options: o})
			if err != nil {
				return err
			}
			done = append(done, op)
		}
		return out.print(a.stdout, listOf(done), func(w io.Writer) { operationTable(w, done) })
	}
	return cmd
}

// namesOrAll returns the projections that a command is for: all read models, or the one that is named.
func namesOrAll(cmd *cobra.Command, args []string, all bool) ([]string, error) {
	if !all {
		return args, oneArg("projection")(cmd, args)
	}
	if len(args) > 0 {
		return nil, usageError(cmd, "name a projection or pass --all, not both")
	}
	var names []string
	for _, p := range shop.Projections() {
		names = append(names, p.Name())
	}
	return names, nil
}

func (a *app) projectionsRollback(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Bring the rows that a rebuild replaced up to date, and switch back to them",
		Args:  oneArg("projection"),
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	snapshotFlag(cmd.Flags(), &where.every)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		op, err := a.operate(cmd.Context(), where, projections.Request{Kind: projections.Rollback, Projection: args[0]})
		if err != nil {
			return err
		}
		return out.print(a.stdout, op, func(w io.Writer) { operationTable(w, []projections.Operation{op}) })
	}
	return cmd
}

func (a *app) projectionsVerify(d *database) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "verify NAME|--all",
		Short: "Compare a projection with a fresh fold of the log, while it is read and written",
		Long: `Compare the rows of a projection with a fresh fold of the log, and count and digest of its events with
those of the log, while it is read and written. Exit code 8 if they differ. --all is all read models;
snapshots are compared with the log whenever one is used.`,
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.Flags().BoolVar(&all, "all", false, "verify all projections, one after the other")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := namesOrAll(cmd, args, all)
		if err != nil {
			return err
		}
		var found []projections.Verification
		ok := true
		for _, name := range names {
			op, err := a.operate(cmd.Context(), where, projections.Request{Kind: projections.Verify, Projection: name})
			if err != nil {
				return err
			}
			var v projections.Verification
			if err := json.Unmarshal(op.Result, &v); err != nil {
				return fmt.Errorf("read the result: %w", err)
			}
			found = append(found, v)
			ok = ok && v.OK()
		}
		if err := out.print(a.stdout, listOf(found), func(w io.Writer) { verificationTable(w, found) }); err != nil {
			return err
		}
		if !ok {
			return &failure{exitCheckFailed, errors.New("rows are not what the log makes of them"),
				"recount projections repair NAME KEY makes one row anew, recount projections rebuild NAME all of them"}
		}
		return nil
	}
	return cmd
}

func verificationTable(w io.Writer, all []projections.Verification) {
	fmt.Fprintln(w, "NAME\tGENERATION\tPOSITION\tROWS\tDIFFERING\tEVENTS\tIN LOG\tDIGEST")
	for _, v := range all {
		digest := "equal"
		if v.Digest != v.LogDigest {
			digest = fmt.Sprintf("%s, of the log %s", v.Digest, v.LogDigest)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
			v.Projection, v.Generation, v.Position, v.Rows, v.Differing, v.Events, v.LogEvents, digest)
	}
	for _, v := range all {
		for _, d := range v.Differences {
			fmt.Fprintf(w, "\n%s %s\n  log:   %s\n  table: %s\n", v.Projection, asText(d.Key), asText(d.Want), asText(d.Got))
			for _, e := range d.Events {
				fmt.Fprintf(w, "  event: %d %s in %s\n", e.Position, cell(e.Type, 60), e.Stream)
			}
		}
	}
}

// asText returns the columns of a row on one line.
func asText(row map[string]any) string {
	if row == nil {
		return "no row"
	}
	var b strings.Builder
	if err := encoder(&b).Encode(row); err != nil {
		return err.Error()
	}
	return cell(strings.TrimSpace(b.String()), 2000)
}

func (a *app) projectionsRepair(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "repair NAME KEY",
		Short:   "Make one row of a projection anew from the log",
		Long:    "Make one row of a projection anew from the log. A key of several columns is a JSON array of their values.",
		Example: "  recount projections repair orders 1001",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError(cmd, "%s needs a projection and a key, got %d arguments", cmd.CommandPath(), len(args))
			}
			return nil
		},
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		op, err := a.operate(cmd.Context(), where, projections.Request{
			Kind: projections.Repair, Projection: args[0], Options: projections.Options{Key: args[1]}})
		if err != nil {
			return err
		}
		var r projections.Repaired
		if err := json.Unmarshal(op.Result, &r); err != nil {
			return fmt.Errorf("read the result: %w", err)
		}
		return out.print(a.stdout, r, func(w io.Writer) {
			if !r.Changed {
				fmt.Fprintf(w, "%s %s is as the log says: %s\n", r.Projection, asText(r.Key), asText(r.After))
				return
			}
			fmt.Fprintf(w, "%s %s\n  before: %s\n  now:    %s\n", r.Projection, asText(r.Key), asText(r.Before), asText(r.After))
		})
	}
	return cmd
}

func (a *app) projectionsCancel(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel OPERATION",
		Short: "End a rebuild, rollback, verification or repair that is running",
		Args:  oneArg("operation"),
	}
	out := outputFlag(cmd)
	where := operatingFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := uuid.Parse(args[0])
		if err != nil {
			return &failure{exitUsage, fmt.Errorf("%q is no operation: %w", args[0], err), "recount projections show NAME lists them"}
		}
		byServer, err := where.byServer()
		if err != nil {
			return err
		}
		var op projections.Operation
		if byServer {
			op, err = (&operationsClient{server: where.server}).cancel(cmd.Context(), id)
		} else {
			err = d.withAdmin(cmd.Context(), func(admin *projections.Admin) error {
				op, err = admin.Cancel(cmd.Context(), id)
				return err
			})
		}
		if err != nil {
			return err
		}
		return out.print(a.stdout, op, func(w io.Writer) { operationTable(w, []projections.Operation{op}) })
	}
	return cmd
}
