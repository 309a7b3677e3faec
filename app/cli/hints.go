package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/snapshots"
)

// hintFor returns what to do about err: what the error itself says, else what is known of its kind.
func (prog *Program) hintFor(err error) string { return prog.hints().Fill(prog.adviceOn(err)) }

func (prog *Program) adviceOn(err error) string {
	var unknown *projections.UnknownTypesError
	if errors.As(err, &unknown) {
		return unknown.Hint() + ": --ignore-types " + unknown.Types[0].Type
	}
	var own *Failure
	if said := prog.hints().Of(err, ""); said != "" || errors.As(err, &own) {
		return said
	}
	var connect *pgconn.ConnectError
	var file *fs.PathError
	var event *commands.EventError
	switch {
	case errors.Is(err, commands.ErrNoVersion):
		return "{program} streams show lists the versions that can be seen"
	case errors.Is(err, snapshots.ErrNoTable):
		return "start {program} serve --roles projections, or {program} dev, of this version once"
	case pgerr.IsAuth(err):
		return "look at user, password and rights in the database's address"
	case errors.As(err, &connect) && pgerr.Is(err, pgerr.NoDatabase):
		return "create it: createdb " + hint.Quote(connect.Config.Database)
	case errors.As(err, &connect):
		return "is PostgreSQL running, and is the address right? {program} dev brings a database of its own"
	case errors.As(err, &event):
		return fmt.Sprintf("{program} streams show %s --from %d --limit 1 prints the event; if this program does not know it, a newer one may",
			hint.Quote(event.Stream), event.Version)
	case errors.Is(err, migrations.ErrLocked):
		return "try again in a moment"
	case errors.As(err, &file):
		return "is " + file.Path + " what you meant, may you use it, and is there space left?"
	}
	return classHints[eventstore.ClassOf(err)]
}

// classHints are for errors of which no more is known than their class.
var classHints = map[eventstore.Class]string{
	eventstore.ClassReadOnly: "is it a standby, or was it made read-only for lack of space? " +
		"name the primary, or free space and set default_transaction_read_only to off",
	eventstore.ClassOverloaded:  "try again in a moment",
	eventstore.ClassTimeout:     "try again; if it happens often, look for locks and load in pg_stat_activity",
	eventstore.ClassUnavailable: "is the database up, and does it take connections? try again in a moment",
	eventstore.ClassCorrupt:     "stop what writes to it, keep a copy for an analysis, and restore a backup",
}
