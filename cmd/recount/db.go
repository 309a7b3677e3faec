package main

import "github.com/spf13/cobra"

func (a *app) dbCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Look after the database"}
	d := databaseFlags(cmd, "that of the running recount dev")
	return group(cmd, a.dbAdopt(d), a.dbURL(d))
}
