package main

import "github.com/spf13/cobra"

func (a *app) logCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Look at the log"}
	return group(cmd, a.logTail(databaseFlags(cmd, "that of the running recount dev")))
}
