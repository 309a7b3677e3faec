package main

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/projections"
)

// unownedPatience is how long an operation may be without a process before that is worth a word. One
// that is free takes it within a second, and one that dies is missed after three.
const unownedPatience = 5 * time.Second

// unowned finds out that no process works on an operation.
type unowned struct {
	since time.Time // zero: one does
	told  bool
}

// sees reports whether it is time to say so, which it is once.
func (u *unowned) sees(op projections.Operation, now time.Time) bool {
	switch {
	case op.State != projections.OperationRunning || op.Owner != "":
		u.since = time.Time{}
	case u.since.IsZero():
		u.since = now
	case !u.told && now.Sub(u.since) >= unownedPatience:
		u.told = true
		return true
	}
	return false
}

// minding returns a show that also tells of an operation that no process works on: a server that only
// answers requests takes it down and never begins it.
func (o *operating) minding(p progress, show func(projections.Operation)) func(projections.Operation) {
	var none unowned
	return func(op projections.Operation) {
		if none.sees(op, time.Now()) {
			p.note(fmt.Sprintf("no process has taken it for %.0f seconds. Those that run projections are busy with other operations, "+
				"or none runs: start one on the same database with recount serve --roles projections, or end the operation with %s",
				unownedPatience.Seconds(), o.cancelCommand(op.ID.String())))
		}
		show(op)
	}
}

// afterInterrupt says what becomes of an operation that is no longer followed.
func (o *operating) afterInterrupt(byServer bool, projection string, op projections.Operation) string {
	var hint string
	switch {
	case !byServer:
		hint = "run it again to go on where it stopped, as a server that runs the projection does by itself"
	case op.ID == uuid.Nil:
		return "whether the server has begun it is unknown, recount projections show " + quote(projection) + o.where() + " says so"
	case op.Owner == "":
		hint = "no process works on it, one that runs projections will as soon as it can: recount serve --roles projections starts one"
	default:
		hint = "the server goes on with it, recount projections show " + quote(projection) + o.where() + " says how far it is"
	}
	if op.ID != uuid.Nil {
		hint += "; " + o.cancelCommand(op.ID.String()) + " ends it"
	}
	return hint
}

// cancelCommand is the command that cancels an operation of this one.
func (o *operating) cancelCommand(id string) string {
	return "recount projections cancel " + id + o.where()
}

// where returns the flags with which other commands work where this one does. What the environment
// says they find there, and the address of a database, which may have a password in it, is left out.
func (o *operating) where() string {
	flags, args := o.cmd.Flags(), ""
	if originOf(flags, "server") == byCommandLine {
		args += " --server " + quote(o.server)
	}
	if originOf(flags, "database") == byCommandLine {
		args += " --database ..."
	}
	if originOf(flags, "data") == byCommandLine {
		args += " --data " + quote(o.database.dataDir)
	}
	return args + schemaArg(o.database.schema)
}
