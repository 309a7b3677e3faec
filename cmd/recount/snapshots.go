package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) snapshotsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "snapshots", Short: "Look at the snapshots of long streams, and make them anew"}
	d := databaseFlags(cmd, "that of the running recount dev")
	return group(cmd, a.snapshotsList(d), a.snapshotsRebuild(d), a.snapshotsPurge(d))
}

// snapshotFlag gives a server the flag that says how often to make snapshots.
func snapshotFlag(flags *pflag.FlagSet, every *map[string]int) {
	flags.StringToIntVar(every, "snapshots", nil, "events of a stream from one snapshot to the next, as `CATEGORY=N`, 0: none")
	flags.Lookup("snapshots").DefValue = "stock=100,order=0,return=0" // for the help; no map is what means it
	fromEnv(flags, "snapshots")
}
