package cli

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/operations"
)

// ownerPatience is how long an operation may be without a process before that is worth a word. One
// that is free takes it within a second, and one that dies is missed after three.
const ownerPatience = 5 * time.Second

// ownerWatch finds out that no process works on an operation.
type ownerWatch struct {
	since time.Time // zero: one does
	told  bool
}

// isLost reports, once, that no process has worked on it for ownerPatience.
func (w *ownerWatch) isLost(op operations.Operation, now time.Time) bool {
	switch {
	case op.State != operations.Running || op.Owner != "":
		w.since = time.Time{}
	case w.since.IsZero():
		w.since = now
	case !w.told && now.Sub(w.since) >= ownerPatience:
		w.told = true
		return true
	}
	return false
}

// warnIfUnclaimed returns a show that also warns of an operation that no process works on: a server
// without the role projections takes the request and never begins it.
func (t *target) warnIfUnclaimed(p Progress, show func(operations.Operation)) func(operations.Operation) {
	var watch ownerWatch
	return func(op operations.Operation) {
		if watch.isLost(op, time.Now()) {
			p.Note(t.database.prog.hints().Fill(fmt.Sprintf("not started after %s: no process with role projections is free; "+
				"start one with {program} serve --roles projections, or cancel this: %s", ownerPatience, t.cancelCommand(op.ID.String()))))
		}
		show(op)
	}
}

// afterInterrupt says what becomes of an operation that is no longer followed.
func (t *target) afterInterrupt(byServer bool, projection string, op operations.Operation) string {
	var advice string
	switch {
	case !byServer:
		advice = "run it again to go on where it stopped, as a server that runs the projection does by itself"
	case op.ID == uuid.Nil:
		return "whether the server has begun it is unknown, {program} projections show " + hint.Quote(projection) + t.flags() + " says so"
	case op.Owner == "":
		advice = "no process works on it, one that runs projections will as soon as it can: {program} serve --roles projections starts one"
	default:
		advice = "the server goes on with it, {program} projections show " + hint.Quote(projection) + t.flags() + " says how far it is"
	}
	if op.ID != uuid.Nil {
		advice += "; " + t.cancelCommand(op.ID.String()) + " ends it"
	}
	return advice
}

// cancelCommand is the command that cancels an operation of this one.
func (t *target) cancelCommand(id string) string {
	return "{program} projections cancel " + id + t.flags()
}

// flags returns the flags with which other commands work where this one does. What the environment
// says they find there, and what may have a secret in it, a header or the address of a database, is
// left out.
func (t *target) flags() string {
	flags, args := t.cmd.Flags(), ""
	if originOf(flags, "server") == byCommandLine {
		args += " --server " + hint.Quote(t.client.server)
	}
	if originOf(flags, "header") == byCommandLine {
		args += " --header ..."
	}
	return args + t.database.flags(t.cmd)
}
