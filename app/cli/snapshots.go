package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (prog *Program) snapshotsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "snapshots", Short: "Look at the snapshots of long streams, and make them anew"}
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	return Group(cmd, prog.snapshotsList(d), prog.snapshotsRebuild(d), prog.snapshotsPurge(d))
}

// ignoreFlag gives a command the flag that says what of the log no projection needs.
func ignoreFlag(flags *pflag.FlagSet, types *[]string) {
	flags.StringSliceVar(types, "ignore-types", nil, "event types that this program does not know and no read model needs")
	FromEnv(flags, "ignore-types")
}

// snapshotFlag gives a server the flag that says how often to make snapshots.
func (prog *Program) snapshotFlag(flags *pflag.FlagSet, every *map[string]int) {
	flags.StringToIntVar(every, "snapshots", nil, "events of a stream from one snapshot to the next, as `CATEGORY=N`, 0: none")
	flags.Lookup("snapshots").DefValue = prog.App.SnapshotDefaults() // for the help; no map is what means it
	FromEnv(flags, "snapshots")
}
