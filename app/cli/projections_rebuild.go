package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/snapshots"
)

// maxMemory bounds --memory, in MiB: what no machine has is a mistake.
const maxMemory = 1 << 20

func (prog *Program) projectionsRebuild(d *database) *cobra.Command {
	var o operations.Options
	var all bool
	keep, memory := 1, int64(256)
	cmd := &cobra.Command{
		Use:   "rebuild NAME|--all",
		Short: "Build a projection anew from the log, while it is read, and switch to it",
		Long: `Build a projection anew from the log, beside its present rows, and switch to it when it has caught up.
Reads go on all the time. What is killed in the middle goes on where it stopped, here when the
command is run again, or in any server that runs the projection.

--all is all read models, and the snapshots where the log has any. New snapshots begin with those of
before; {program} snapshots rebuild makes them from the events alone. They have no --verify: whoever
uses one compares it with the log.`,
		Example: "  {program} projections rebuild orders --verify\n  {program} projections rebuild --all --throttle 20000",
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	ignoreFlag(cmd.Flags(), &target.options.IgnoreTypes)
	flags := cmd.Flags()
	prog.snapshotFlag(flags, &target.options.SnapshotEvery)
	flags.BoolVar(&all, "all", false, "rebuild all projections, together; one that fails does not stop the others")
	flags.IntVar(&o.Workers, "workers", 0, "how many goroutines decode, and how many fold (default one per CPU)")
	flags.IntVar(&o.Throttle, "throttle", 0, "how many events to read in a second, more than are appended (default no limit)")
	flags.BoolVar(&o.Verify, "verify", false, "compare what was built with another fold of the log before the switch")
	flags.IntVar(&keep, "keep", keep, "how many replaced generations to keep for a rollback")
	flags.Int64Var(&memory, "memory", memory, "MiB to take at once, for all together; rows that do not fit take another pass over the log")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := prog.namesOrAll(cmd, args, all)
		if err != nil {
			return err
		}
		if all {
			for _, category := range prog.App.Categories() {
				found, err := target.has(cmd.Context(), snapshots.NameOf(category))
				if err != nil {
					return err
				}
				if found {
					names = append(names, snapshots.NameOf(category))
				}
			}
		}
		if memory < 1 || memory > maxMemory {
			return UsageError(cmd, "--memory must be from 1 to %d MiB; it is %d", maxMemory, memory)
		}
		o.Keep, o.MemoryBytes = &keep, memory<<20
		done, err := prog.operateAll(cmd.Context(), target, requestsFor(projections.Rebuild, names, o))
		if err != nil && len(done) == 0 {
			return err
		}
		return errors.Join(out.Print(prog.Stdout, listOf(done), func(w io.Writer) { operationTable(w, done) }), err)
	}
	return cmd
}
