package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/migrations"
)

func (a *app) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make and change the tables of the log",
		Long: `Make and change the tables of the log. Any number of processes may migrate at once: one works, the
others wait. It needs a direct connection, not one through a pooler in transaction mode.`,
	}
	d := databaseFlags(cmd, "that of the running recount dev")
	return group(cmd, a.migrateUp(d), a.migrateDown(d), a.migrateStatus(d), a.migrateSQL(d), a.migrateForce(d))
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

// behind says that the tables are older than this program needs them.
func behind(schema string, now migrations.State, code int) error {
	return &failure{code,
		fmt.Errorf("schema %s is at version %d, this program needs version %d", schema, now.Current, now.Latest),
		"run recount migrate up" + hint.SchemaFlag(schema)}
}
