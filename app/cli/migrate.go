package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (prog *Program) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make and change the tables of the log",
		Long: `Make and change the tables of the log. Any number of processes may migrate at once: one works, the
others wait. It needs a direct connection, not one through a pooler in transaction mode.`,
	}
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	return Group(cmd, prog.migrateUp(d), prog.migrateDown(d), prog.migrateStatus(d), prog.migrateSQL(d), prog.migrateForce(d))
}

// move is what a migration did, as JSON.
type move struct {
	From uint `json:"from"`
	To   uint `json:"to"`
}

func (m move) String() string {
	if m.From == m.To {
		return fmt.Sprintf("already at version %d, nothing to do", m.To)
	}
	return fmt.Sprintf("migrated from version %d to %d", m.From, m.To)
}
