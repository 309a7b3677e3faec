// Package pgerr classifies the errors of a PostgreSQL server by their SQLSTATE (appendix A of its
// manual). It is the only place that knows the codes.
package pgerr

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes that callers tell from others of their class.
const (
	ProtocolViolation    = "08P01" // e.g. of a pooler that refuses startup parameters, see also IsContent
	ReadOnly             = "25006"
	TransactionAborted   = "25P02"
	UniqueViolation      = "23505"
	NoDatabase           = "3D000"
	NoSchema             = "3F000"
	SerializationFailure = "40001"
	Deadlock             = "40P01"
	NoRight              = "42501"
	NoColumn             = "42703"
	NoFunction           = "42883"
	NoType               = "42704" // or another object, e.g. a collation
	NoTable              = "42P01"
	DuplicateTable       = "42P07"
	InvalidTable         = "42P16" // e.g. a view that cannot be replaced by one with other columns
	TooManyConnections   = "53300"
	DiskFull             = "53100"
	LockNotAvailable     = "55P03" // lock_timeout is over, or NOWAIT
	QueryCanceled        = "57014" // by statement_timeout or on request
	Shutdown             = "57P01" // also pg_terminate_backend
	CrashShutdown        = "57P02"
	CannotConnectNow     = "57P03" // the server starts up, recovers or shuts down
	IdleTooLong          = "57P05" // idle_session_timeout is over
	Fenced               = "RC001" // raised by the functions lease_lost and projection_fenced of migrations
	IdleInTransaction    = "25P03" // idle_in_transaction_session_timeout is over
)

// Classes are the first two letters of a code.
const (
	classCardinality = "21"
	ClassData        = "22"
	ClassConstraint  = "23"
	classSQLRoutine  = "2F"
	classLogin       = "28"
	classExternal    = "38"
	classExternalUse = "39"
	classRollback    = "40"
	ClassStatement   = "42" // syntax, names and rights
	classViewCheck   = "44"
	classResources   = "53"
	ClassLimits      = "54" // e.g. an index row that is too long
	classState       = "55"
	classOperator    = "57"
	classSystem      = "58"
	classConnection  = "08"
	classPLpgSQL     = "P0"
)

// Code returns the SQLSTATE of the server's error in err; "" if there is none.
func Code(err error) string {
	var refused interface{ SQLState() string }
	if !errors.As(err, &refused) || len(refused.SQLState()) != 5 {
		return ""
	}
	return refused.SQLState()
}

var parameter = regexp.MustCompile(`\$([1-9][0-9]*)`)

// UnreadText returns which of texts, the parameters of a statement, the server could not read as the type that
// it has there, from 1, and what it said; 0, if the error is another. Wherever in the statement it is read,
// the server quotes it, but for some types; of those it says the number, if it read it first of all.
func UnreadText(err error, texts map[int]string) (number int, message string) {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || !In(err, ClassData) {
		return 0, ""
	}
	for _, number := range slices.Sorted(maps.Keys(texts)) {
		if strings.Contains(refused.Message, `"`+texts[number]+`"`) {
			return number, refused.Message
		}
	}
	if m := parameter.FindStringSubmatch(refused.Where); m != nil {
		number, _ = strconv.Atoi(m[1]) // of digits
	}
	if _, ok := texts[number]; !ok {
		return 0, ""
	}
	return number, refused.Message
}

// Is reports whether the server answered with one of the codes.
func Is(err error, codes ...string) bool { return slices.Contains(codes, Code(err)) }

// In reports whether the server answered with a code of one of the classes.
func In(err error, classes ...string) bool {
	code := Code(err)
	return code != "" && slices.Contains(classes, code[:2])
}

// IsReadOnly reports that the session, the database or its user takes no writes.
func IsReadOnly(err error) bool { return Is(err, ReadOnly) }

// LacksTables reports that the database lacks tables, or parts of them, that a statement names.
func LacksTables(err error) bool { return Is(err, NoTable, NoColumn, NoFunction, NoSchema) }

// IsAuth reports that the server refused who asked, or what for.
func IsAuth(err error) bool { return In(err, classLogin) || Is(err, NoRight) }

// IsContent reports that the server refused what a statement was to write, rather than to work at
// all.
func IsContent(err error) bool {
	return In(err, ClassData, ClassConstraint, ClassLimits) || isUnreadable(err)
}

// isUnreadable reports that the server did not understand a message, and goes on with the session:
// a text in it has a NUL. Where such an error ends the session its severity is another.
func isUnreadable(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == ProtocolViolation && refused.SeverityUnlocalized == "ERROR"
}

// IsStatement reports that the same statement with the same values would be refused again: it is
// about them, and no outage.
func IsStatement(err error) bool {
	return IsContent(err) || In(err, classCardinality, classSQLRoutine, classExternal, classExternalUse, ClassStatement,
		classViewCheck, classPLpgSQL)
}

// IsSessionLost reports that the server ended the session, or its pooler did.
func IsSessionLost(err error) bool {
	return In(err, classConnection) && !isUnreadable(err) || Is(err, Shutdown, CrashShutdown, IdleTooLong, IdleInTransaction)
}

// IsNoResource reports that the server lacks space, memory or connections.
func IsNoResource(err error) bool { return In(err, classResources) }

// IsUnavailable reports that the server cannot do what it is asked for now, or lets nobody in.
func IsUnavailable(err error) bool {
	return In(err, classConnection) && !isUnreadable(err) ||
		In(err, classResources, classOperator, classSystem, classRollback, classState) ||
		IsAuth(err) || Is(err, ReadOnly, NoDatabase)
}

// IsPermanent reports that trying again soon cannot help.
func IsPermanent(err error) bool {
	return In(err, classLogin, ClassStatement) || Is(err, ReadOnly, NoDatabase)
}

// MayConnectLater reports whether a server that could not be connected to may be there a moment
// later: unless it answered, and not that it is starting up or has no connection left.
func MayConnectLater(err error) bool { return Is(err, "", CannotConnectNow, TooManyConnections) }
