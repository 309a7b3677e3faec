package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/migrations"
)

func (prog *Program) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make and change the tables of the log",
		Long: `Make and change the tables of the log. Any number of processes may migrate at once: one works, the
others wait. It needs a direct connection, not one through a pooler in transaction mode.`,
	}
	d := &migrating{database: prog.databaseFlags(cmd, "that of the running {program} dev")}
	if prog.hasTables() {
		cmd.PersistentFlags().StringVar(&d.module, "module", "", "the tables of a module, instead of the log's; up takes all without it")
	}
	return Group(cmd, prog.migrateUp(d), prog.migrateDown(d), prog.migrateStatus(d), prog.migrateSQL(d), prog.migrateForce(d))
}

// migrating is where the tables are, and whose.
type migrating struct {
	*database
	module string
}

// set returns the migrations of the log, or of the module.
func (m *migrating) set() (migrations.Set, error) { return m.prog.App.MigrationsOf(m.module) }

// sets returns those that up takes, and status tells of.
func (m *migrating) sets() ([]migrations.Set, error) {
	if m.module == "" {
		return m.prog.App.Migrations()
	}
	set, err := m.set()
	return []migrations.Set{set}, err
}

// tables says whose tables they are.
func (m *migrating) tables() string {
	if m.module == "" {
		return "schema " + m.schema
	}
	return "module " + m.module + " in schema " + m.schema
}

// hasTables reports whether a module has tables of its own.
func (prog *Program) hasTables() bool {
	return slices.ContainsFunc(prog.App.Modules, func(m app.Module) bool { return m.Migrations != nil })
}

// move is what a migration did, as JSON.
type move struct {
	From uint `json:"from"`
	To   uint `json:"to"`
	// Modules are those that have tables of their own.
	Modules map[string]move `json:"modules,omitempty"`
}

func (m move) String() string {
	if m.From == m.To {
		return fmt.Sprintf("already at version %d, nothing to do", m.To)
	}
	return fmt.Sprintf("migrated from version %d to %d", m.From, m.To)
}
