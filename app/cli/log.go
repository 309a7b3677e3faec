package cli

import "github.com/spf13/cobra"

func (prog *Program) logCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Look at the log"}
	return Group(cmd, prog.logTail(prog.databaseFlags(cmd, "that of the running {program} dev")))
}
