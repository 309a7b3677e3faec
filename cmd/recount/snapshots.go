package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/snapshots"
)

// snapshotFlag gives a server the flag that says how often to make snapshots.
func snapshotFlag(flags *pflag.FlagSet, every *map[string]int) {
	flags.StringToIntVar(every, "snapshots", nil, "events of a stream from one snapshot to the next, as `CATEGORY=N`, 0: none")
	flags.Lookup("snapshots").DefValue = "stock=100,order=0,return=0" // for the help; no map is what means it
	fromEnv(flags, "snapshots")
}

// allProjections returns the read models of the shop, and what makes its snapshots.
func allProjections(s *shop.Shop, kept *snapshots.Store, log zerolog.Logger) []projections.Projection {
	all := shop.Projections()
	if sources := s.SnapshotSources(); len(sources) > 0 {
		all = append(all, kept.Projection(log, sources...))
	}
	return all
}

func (a *app) snapshotsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "snapshots", Short: "Look at the snapshots of long streams, and make them anew"}
	d := databaseFlags(cmd, "that of the running recount dev")
	return group(cmd, a.snapshotsList(d), a.snapshotsRebuild(d), a.snapshotsPurge(d))
}

// withShop gives access to the snapshots, and to the shop whose states they are.
func (a *app) withShop(ctx context.Context, d *database, every map[string]int, use func(*shop.Shop, *snapshots.Store, *pgstore.Store) error) error {
	return d.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
		codec, err := shop.NewCodec()
		if err != nil {
			return err
		}
		kept := snapshots.NewStore(pool, d.schema)
		s, err := shop.New(log, codec, shop.Config{Snapshots: kept, SnapshotEvery: every, Logger: a.warnings()})
		if err != nil {
			return err
		}
		return use(s, kept, log)
	})
}

// warnings returns a logger for what a command meets on its way.
func (a *app) warnings() zerolog.Logger {
	return zerolog.New(zerolog.ConsoleWriter{Out: a.stderr, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName}})
}

func (a *app) snapshotsList(d *database) *cobra.Command {
	var q snapshots.Query
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the snapshots, and the version of their streams that each begins with",
		Example: "  recount snapshots ls --category stock --limit 10",
		Args:    noArgs,
	}
	out := outputFlag(cmd)
	cmd.Flags().StringVar(&q.Decider, "category", "", "category to list (default all)")
	cmd.Flags().StringVar(&q.Stream, "stream", "", "stream to list (default all)")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "how many to list at most; 0: all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if q.Limit < 0 {
			return usageError(cmd, "--limit must not be negative")
		}
		return d.withLog(cmd.Context(), func(pool *pgxpool.Pool, _ *pgstore.Store) error {
			all, err := snapshots.NewStore(pool, d.schema).List(cmd.Context(), q)
			if err != nil {
				return err
			}
			return out.print(a.stdout, listOf(all), func(w io.Writer) { snapshotTable(w, all) })
		})
	}
	return cmd
}

func snapshotTable(w io.Writer, all []snapshots.Info) {
	fmt.Fprintln(w, "CATEGORY\tSTREAM\tVERSION\tSCHEMA\tPOSITION\tRECORDED\tTAKEN\tBYTES")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%d\n", s.Decider, s.Stream, s.Version, s.SchemaVersion, s.Position,
			s.RecordedAt.Format(timeFormat), s.TakenAt.Format(timeFormat), s.Bytes)
	}
}

func (a *app) snapshotsRebuild(d *database) *cobra.Command {
	var category, stream string
	var every map[string]int
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make snapshots anew from the events, whatever is there",
		Long: `Make snapshots anew from the events, whatever is there, in one pass over the log. Servers may run
meanwhile. Streams whose first events are hidden by their metadata keep the snapshot they have, if it
fits.`,
		Example: "  recount snapshots rebuild --category stock\n  recount snapshots rebuild --stream stock-85123A",
		Args:    noArgs,
	}
	out := outputFlag(cmd)
	cmd.Flags().StringVar(&category, "category", "", "category to make anew (default all)")
	cmd.Flags().StringVar(&stream, "stream", "", "stream to make anew (default all)")
	snapshotFlag(cmd.Flags(), &every)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.withShop(cmd.Context(), d, every, func(s *shop.Shop, kept *snapshots.Store, log *pgstore.Store) error {
			sources, err := pickSources(s.SnapshotSources(), category, stream)
			if err != nil {
				return err
			}
			var sum snapshots.Rebuilt
			for _, source := range sources {
				done, err := kept.Rebuild(cmd.Context(), log, source, stream, a.warnings())
				if err != nil {
					return err
				}
				sum.Made += done.Made
				sum.Removed += done.Removed
				sum.Without += done.Without
			}
			return out.print(a.stdout, sum, func(w io.Writer) {
				fmt.Fprintln(w, "MADE\tREMOVED\tWITHOUT")
				fmt.Fprintf(w, "%d\t%d\t%d\n", sum.Made, sum.Removed, sum.Without)
			})
		})
	}
	return cmd
}

// pickSources returns the sources of a category or a stream; all if neither is given.
func pickSources(all []commands.SnapshotSource, category, stream string) ([]commands.SnapshotSource, error) {
	var picked []commands.SnapshotSource
	var names []string
	for _, source := range all {
		names = append(names, source.Category())
		if (category == "" || category == source.Category()) && (stream == "" || strings.HasPrefix(stream, source.Category()+"-")) {
			picked = append(picked, source)
		}
	}
	if len(picked) == 0 {
		return nil, &failure{exitNotFound, errors.New("there are no snapshots of that category"),
			"the categories with snapshots are: " + strings.Join(names, ", ")}
	}
	return picked, nil
}

func (a *app) snapshotsPurge(d *database) *cobra.Command {
	var category, stream string
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove snapshots: those of a category, of a stream, or all",
		Long: `Remove snapshots: those of a category, of a stream, or all. The events remain, and new snapshots are
made as streams grow, or by recount snapshots rebuild. But a stream whose first events are hidden by
its metadata cannot be loaded without its snapshot, until its metadata shows them again.`,
		Args: noArgs,
	}
	out := outputFlag(cmd)
	cmd.Flags().StringVar(&category, "category", "", "category to remove snapshots of (default all)")
	cmd.Flags().StringVar(&stream, "stream", "", "stream to remove the snapshot of (default all)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.confirm(cmd.Context(), yes, "streams that are truncated cannot be loaded without their snapshots"); err != nil {
			return err
		}
		return d.withLog(cmd.Context(), func(pool *pgxpool.Pool, _ *pgstore.Store) error {
			n, err := snapshots.NewStore(pool, d.schema).Purge(cmd.Context(), category, stream)
			if err != nil {
				return err
			}
			return out.print(a.stdout, map[string]int64{"removed": n}, func(w io.Writer) { fmt.Fprintf(w, "removed %d\n", n) })
		})
	}
	return cmd
}
