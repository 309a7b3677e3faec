// Package hint renders what to do about an error: libraries give a reason, a code and what it is
// about, and here are the sentences with the command lines of the program. The command line, the
// HTTP API and the log say the same.
package hint

import (
	"cmp"
	"errors"
	"strings"
	"unicode"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// texts have {program} for the program, and {subject} and {flags} for what they are about, and for
// the flags with which a command finds the same log or server.
var texts = map[operations.Reason]string{
	"log-not-adopted": "make sure that nobody writes to another copy of the log, then run {program} db adopt{flags}",
	"tables-behind":   "run {program} migrate up{flags}",
	"migration-cut-off": "each migration is one transaction, so it is there wholly or not at all: look whether the tables are as " +
		"{program} migrate sql shows for version {subject}, then run {program} migrate force VERSION{flags} with the version " +
		"they are at and migrate again",
	"module-migration-cut-off": "each migration is one transaction, so it is there wholly or not at all: look whether the tables are as " +
		"{program} migrate sql --module {subject} shows, then run {program} migrate force VERSION --module {subject}{flags} with the " +
		"version they are at and migrate again",

	"operation-running": "wait for it, or cancel it: {program} projections cancel {subject}{flags}",
	"operation-ending":  "try again in a moment",

	projections.ReasonLogChanged: "the log is not the one that these rows were made of; if it was restored on purpose, adopt it, " +
		"or build the projection anew",
	projections.ReasonLogCorrupt: "check the log before anything else; its events are not to be trusted",
	projections.ReasonNoRow: "the event came before the one that makes the row, or after the one that deletes it: correct the fold " +
		"(Upsert instead of Update?) and raise its version, or " + skip,
	projections.ReasonTableChanged: "the table is not as it was made, or the statement is wrong: " +
		"`{program} projections rebuild {subject}{flags}` makes another table, or correct it, then " + resume,
	projections.ReasonRowRefused: "PostgreSQL refuses what the event makes of the row: " + correct,
	projections.ReasonNotApplied: correct,
	projections.ReasonAppliedBefore: "the projection has not stopped on this event: its rows are from when it could be applied, " +
		"and stay. Correct the program, and try again",
	projections.ReasonTooLarge: "allow more memory, or fewer workers",
	projections.ReasonNoFold:   "`{program} projections rebuild {subject}{flags}` makes its rows anew",
	projections.ReasonNotBuilt: "`{program} projections rebuild {subject}{flags}` makes them",
	projections.ReasonPaused:   resume + ", then try again",
	projections.ReasonReplaying: "the events are applied one by one now, which stops at the one that is the reason: " +
		"see `{program} projections show {subject}{flags}`",
	projections.ReasonPassesDiffer: "check the log before anything else; then rebuild again",
	projections.ReasonCopyDiffers:  "rebuild again",
	projections.ReasonFoldDiffers:  "does the fold depend on anything but its row and event?",

	delivery.ReasonGone: "the target wants no events any more: change the subscription to another target, or delete it with " +
		"`{program} subscriptions delete {subject}{flags}`; " + tryAgain,
	delivery.ReasonStopped: "correct what the error is about, then " + tryAgain + ", or leave the event out with " +
		"`{program} subscriptions skip {subject}{flags} --reason …`",

	projections.ReasonOtherLog: "is it the right database, and the right schema? To have app {subject} on this log beside the others, " +
		"start it once with `{program} serve --adopt-log{flags}`",
	projections.ReasonOtherProjection: "give one of the two projections another name: {program} projections ls --all{flags} lists those of this program. " +
		"Those called snapshots_CATEGORY are of the App that decides on the streams: give the streams of the other one another category",
}

const (
	tryAgain = "`{program} subscriptions resume {subject}{flags}` tries again"

	resume  = "`{program} projections resume {subject}{flags}`"
	skip    = "leave the event out with `{program} projections skip {subject}{flags} --reason …`"
	correct = "correct the projection and then " + resume + ", or " + skip
)

// Program is how a program is called on the command line, in the hints that it gives.
type Program string

// Fill puts the name of the program where a text has {program}, and where it has {PROGRAM} what begins the names of the program's
// variables in the environment.
func (p Program) Fill(text string) string {
	return strings.NewReplacer("{program}", string(p), "{PROGRAM}", p.variables()).Replace(text)
}

func (p Program) variables() string {
	return strings.Map(func(r rune) rune {
		if r = unicode.ToUpper(r); 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, string(p))
}

// Text returns the sentence for a reason. A code that is unknown here is a sentence already: one
// that an earlier version wrote into the database, or that names no command.
func (p Program) Text(code, subject, flags string) string {
	text, ok := texts[operations.Reason(code)]
	if !ok {
		return code
	}
	return strings.NewReplacer("{program}", string(p), "{subject}", Quote(subject), "{flags}", flags).Replace(text)
}

// In returns the sentence for a reason about the log in a schema; "" is the default one.
func (p Program) In(code, subject, schema string) string {
	return p.Text(code, subject, SchemaFlag(schema))
}

// Of returns what err, or what it wraps, says to do; "" if it says nothing. Flags are those of the
// command that met it, beyond the schema that err names.
func (p Program) Of(err error, flags string) string {
	var hinted interface{ Hint() string }
	var reasoned interface {
		Reason() (code, subject, schema string)
	}
	switch {
	case errors.As(err, &hinted):
		return p.Fill(hinted.Hint())
	case errors.As(err, &reasoned):
		code, subject, schema := reasoned.Reason()
		return p.Text(code, subject, cmp.Or(flags, SchemaFlag(schema)))
	}
	return ""
}

// SchemaFlag is the flag that a command needs for a schema of one's own.
func SchemaFlag(schema string) string {
	if schema == "" || schema == migrations.DefaultSchema {
		return ""
	}
	return " --schema " + Quote(schema)
}

// Quote makes a word safe for a shell, if it needs to.
func Quote(word string) string {
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !strings.ContainsRune(plain, r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"
