package cli

import "github.com/spf13/cobra"

func (prog *Program) dbCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Look after the database"}
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	return Group(cmd, prog.dbAdopt(d), prog.dbLeave(d), prog.dbURL(d))
}
