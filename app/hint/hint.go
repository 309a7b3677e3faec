// Package hint renders what to do about an error: libraries give a reason, a code and what it is about,
// and here are the sentences with the command lines of this program. The command line, the HTTP API and
// the log say the same.
package hint

import (
	"cmp"
	"errors"
	"strings"

	"github.com/57528e99/recount/migrations"
)

// texts have {subject} and {flags} for what they are about, and for the flags with which a command finds
// the same log or server.
var texts = map[string]string{
	"log-not-adopted": "make sure that nobody writes to another copy of the log, then run recount db adopt{flags}",
	"tables-behind":   "run recount migrate up{flags}",
	"migration-cut-off": "each migration is one transaction, so it is there wholly or not at all: look whether the tables are as " +
		"recount migrate sql shows for version {subject}, then run recount migrate force VERSION{flags} with the version " +
		"they are at and migrate again",
}

// Text returns the sentence for a reason. A code that is unknown here is a sentence already: one that an
// earlier version wrote into the database, or that names no command.
func Text(code, subject, flags string) string {
	text, ok := texts[code]
	if !ok {
		return code
	}
	return strings.NewReplacer("{subject}", Quote(subject), "{flags}", flags).Replace(text)
}

// Of returns what err, or what it wraps, says to do; "" if it says nothing. Flags are those of the command
// that met it, beyond the schema that err names.
func Of(err error, flags string) string {
	var hinted interface{ Hint() string }
	var reasoned interface {
		Reason() (code, subject, schema string)
	}
	switch {
	case errors.As(err, &hinted):
		return hinted.Hint()
	case errors.As(err, &reasoned):
		code, subject, schema := reasoned.Reason()
		return Text(code, subject, cmp.Or(flags, SchemaFlag(schema)))
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
