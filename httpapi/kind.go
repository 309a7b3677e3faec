package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
)

// Kind is a sort of problem that a client may meet. Its page, at
// /problems/{code}, shows all of it.
type Kind struct {
	// Code names the kind for programs: lower-case words joined by '-'. It never
	// changes its meaning.
	Code string
	// Status is the HTTP status of the answer, 400–599.
	Status int
	// Title names the kind for people, in a few words.
	Title string
	// Meaning says what has happened, and what has not.
	Meaning string
	// Fix says what to do about it. It is the hint of a problem that has no
	// better one.
	Fix string
}

// DomainProblem is a line of the table that turns errors of the domain into
// problems.
type DomainProblem struct {
	// Err is matched with errors.Is.
	Err error
	// Kind is what the error becomes. Its detail is the error's text.
	Kind Kind
}

var codePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

func (k Kind) check() error {
	switch {
	case !codePattern.MatchString(k.Code):
		return fmt.Errorf("problem code %q must be lower-case words joined by '-'", k.Code)
	case k.Status < 400 || k.Status > 599:
		return fmt.Errorf("problem %s: status %d must be from 400 to 599", k.Code, k.Status)
	case k.Title == "" || k.Meaning == "" || k.Fix == "":
		return fmt.Errorf("problem %s: Title, Meaning and Fix must be set", k.Code)
	}
	return nil
}

// kinds are the problems that an API can give without any domain.
var kinds []Kind

func define(status int, code, title, meaning, fix string) Kind {
	k := Kind{Code: code, Status: status, Title: title, Meaning: meaning, Fix: fix}
	kinds = append(kinds, k)
	return k
}

// Problems of the request as such. Nothing was done.
var (
	kindMalformedJSON = define(http.StatusBadRequest, "malformed-json", "Malformed JSON",
		"The body could not be read as one JSON value in UTF-8: it is empty or cut off, has a syntax error, a member twice, or text behind its end.",
		"Correct the body at the place that errors points to; a JSON linter shows it too.")
	kindInvalidBody = define(http.StatusBadRequest, "invalid-body", "Invalid body",
		"The body is JSON, but not what this route takes: a member is unknown, of the wrong type, or out of range.",
		"Correct the members that errors points to.")
	kindInvalidPath = define(http.StatusBadRequest, "invalid-path", "Invalid path",
		"A variable part of the path is too long, is not UTF-8 or has control characters.",
		"Correct the part that errors names. Percent-encode characters that have a meaning in URLs.")
	kindInvalidParameter = define(http.StatusBadRequest, "invalid-parameter", "Invalid query parameter",
		"A query parameter is unknown, given twice, or has a value that it cannot have.",
		"Correct the parameters that errors names.")
	kindInvalidHeader = define(http.StatusBadRequest, "invalid-header", "Invalid header",
		"A request header has a value that it cannot have, or is given twice.",
		"Correct the headers that errors names.")
	kindInvalidCursor = define(http.StatusBadRequest, "invalid-cursor", "Invalid cursor",
		"The cursor is not one that this list has handed out.",
		"Take next from the answer before as it is, with the same other parameters, or begin again without a cursor.")
	kindInvalidToken = define(http.StatusBadRequest, "invalid-token", "Invalid consistency token",
		"The consistency token is not one that this API has handed out.",
		"Take Consistency-Token from the answer to a command as it is, or leave it out.")
	kindInvalidRequest = define(http.StatusBadRequest, "invalid-request", "Request cannot be stored",
		"The request leads to events that the log cannot take, whatever its state: a name or a value is too long or has characters that it must not have.",
		"Correct what detail names; the same request will never succeed.")
	kindUnauthenticated = define(http.StatusUnauthorized, "unauthenticated", "Not authenticated",
		"This server does not know who sends the request. Nothing was done.",
		"Send the request with valid credentials.")
	kindForbidden = define(http.StatusForbidden, "forbidden", "Not permitted",
		"Who sends the request is known, and may not do this. Nothing was done.",
		"detail says which role or scope it takes; GET / lists what each route needs.")
	kindRateLimited = define(http.StatusTooManyRequests, "rate-limited", "Too many requests",
		"Who sends the request has sent as many in the last second as they may. Nothing was done.",
		"Send it again after the time in Retry-After, and fewer a second.")
	kindCrossOrigin = define(http.StatusForbidden, "cross-origin", "Cross-origin request refused",
		"A browser sent this request on behalf of another site.",
		"Send it from a page of this server, or from a program that is not a browser.")
	kindMisdirected = define(http.StatusMisdirectedRequest, "misdirected", "Host of another server",
		"The header Host names none of this server's hosts: a server that only its own machine reaches is called localhost. Nothing was done.",
		"Call it localhost. If a proxy sends on the Host that its clients name, the operator has to allow that one.")
	kindRouteNotFound = define(http.StatusNotFound, "route-not-found", "Route not found",
		"Nothing is served at this path.",
		"GET / lists the routes. A part of the path must not be empty, and a slash inside of an id is written %2F.")
	kindMethodNotAllowed = define(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed",
		"The path exists, but not with this method.",
		"Use one of the methods in the Allow header; GET / lists the routes.")
	kindBodyTimeout = define(http.StatusRequestTimeout, "body-timeout", "Body timed out",
		"The body of the request was announced but did not arrive in time.",
		"Send the request again.")
	kindBodyTooLarge = define(http.StatusRequestEntityTooLarge, "body-too-large", "Body too large",
		"The body has more bytes than this server takes.",
		"Split the request into smaller ones.")
	kindClientClosed = define(499, "client-closed", "Client closed the connection",
		"The client closed the connection before the answer was ready.",
		"Wait longer. A command is safe to repeat with the same Idempotency-Key.")
	kindUnsupportedMediaType = define(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type",
		"The body is not declared as JSON, or it is compressed.",
		"Send it as it is, with the header Content-Type: application/json.")
)

// Problems of what was asked for.
var (
	kindNotFound = define(http.StatusNotFound, "not-found", "Resource not found",
		"What was asked for does not exist, or is not known to the read models yet.",
		"Check the id. If it was created a moment ago, send the Consistency-Token of that answer along.")
	kindConflict = define(http.StatusConflict, "conflict", "Concurrent modification",
		"Others changed the same thing at the same time. Nothing was written.",
		"Send the request again.")
	kindEventIDReused = define(http.StatusConflict, "event-id-reused", "Event id reused",
		"An event with this id and another content is stored already. Nothing was written.",
		"Use a new id for a new event.")
	kindAhead = define(http.StatusBadRequest, "as-of-ahead", "Position ahead of the log",
		"as_of names a position that no event has yet.",
		"Take the position of a command's answer, or leave as_of out for what is known now.")
	kindLongHistory = define(http.StatusUnprocessableEntity, "history-too-long", "Too many events to fold",
		"What is asked for rests on more events than are read for one answer.",
		"Ask for an earlier moment, or read the events themselves.")
	kindLogChanged = define(http.StatusConflict, "log-changed", "Token of another log",
		"The consistency token was made by another log, or by a part of this one that was lost in a restore or a failover.",
		"Leave the token out, and check whether what you wrote at that time is there.")
	kindDeleted = define(http.StatusGone, "deleted", "Resource deleted",
		"What was asked for was deleted. Nothing was written.",
		"Use another id.")
	kindTruncated = define(http.StatusConflict, "truncated", "Stream truncated",
		"The metadata of the stream hides its first events, so its state cannot be known. Nothing was written.",
		"The operator has to relax the metadata of the stream.")
	kindHistoryUnreadable = define(http.StatusConflict, "history-unreadable", "Event history unreadable",
		"An event in its history has data that is not what its type says, so its state cannot be known. Nothing was written.",
		"Sending it again is of no use. The operator finds the event in the log of the server, under the request id.")
	kindPreconditionFailed = define(http.StatusPreconditionFailed, "precondition-failed", "Precondition failed",
		"The version demanded by If-Match, If-None-Match or expected is not the present one. Nothing was written.",
		"Read it again, decide again, and send the ETag that you then have.")
	kindRejected = define(http.StatusUnprocessableEntity, "rejected", "Rejected by a domain rule",
		"The command was understood, and refused by the rules of the domain. Nothing was changed.",
		"detail says which rule it was; the same command will be refused until the state has changed.")
)

// NotFound is the problem of what there is not, with a hint of its own.
func NotFound(detail, hint string) *Problem { return kindNotFound.Problem(detail).withHint(hint) }

// Problems of idempotency keys.
var (
	kindInvalidIdempotencyKey = define(http.StatusBadRequest, "invalid-idempotency-key", "Invalid idempotency key",
		"The header Idempotency-Key is given twice or has a value that it cannot have. Nothing was done.",
		`Send one key of 1 to 255 printable ASCII characters in quotes, e.g. Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324".`)
	kindIdempotencyInProgress = define(http.StatusConflict, "idempotency-in-progress", "Request in progress",
		"A request with this idempotency key is being worked on. This one was not begun.",
		"Send it again after the time in Retry-After; then it gets the answer of the first.")
	kindIdempotencyKeyReused = define(http.StatusUnprocessableEntity, "idempotency-key-reused", "Idempotency key reused",
		"The idempotency key was used for another request of the same command. Nothing was done.",
		"Use a new key for a new request, or repeat the first one exactly to get its answer.")
)

// Problems of this server. All but outcome-unknown and timeout say that nothing
// was written.
var (
	kindInternal = define(http.StatusInternalServerError, "internal", "Internal error",
		"Something went wrong that should not have. The log of the server has the cause, under the request id.",
		"Report the request id to the operator. A command is safe to repeat with the same Idempotency-Key.")
	kindLogDamaged = define(http.StatusInternalServerError, "log-damaged", "Event log damaged",
		"The event log breaks its own rules. Reading was stopped before a wrong answer was given.",
		"Report the request id to the operator, who has to check the database.")
	kindNotSupported = define(http.StatusNotImplemented, "not-supported", "Not supported by the event store",
		"The event store behind this server lacks an ability that the request needs.",
		"Leave the demand out, e.g. Idempotency-Key, or run the server on another store.")
	kindOverloaded = define(http.StatusServiceUnavailable, "overloaded", "Server overloaded",
		"Too many requests wait already, so this one was turned away. Nothing was written.",
		"Send it again after the time in Retry-After, and send fewer at once.")
	kindUnavailable = define(http.StatusServiceUnavailable, "unavailable", "Database unavailable",
		"The database is down, full, or cannot write at the moment. Nothing was written.",
		"Send it again after the time in Retry-After. The operator finds the cause in the log of the server.")
	kindDatabaseBehind = define(http.StatusServiceUnavailable, "database-behind", "Database migrations missing",
		"The database has not the tables that this version of the server needs. Nothing was written.",
		"The operator has to bring the tables to the version of this program.")
	kindLogNotAdopted = define(http.StatusServiceUnavailable, "log-not-adopted", "Appends are disabled",
		"The database was restored, copied or failed over, so events may be missing, or another one was put in its place. It takes no commands until the operator says that this is the log; reads work. Nothing was written.",
		"The operator has to make sure that nobody writes to another copy, and to adopt this one; if that is done, or it is another database on purpose, to restart this server.")
	kindOutcomeUnknown = define(http.StatusServiceUnavailable, "outcome-unknown", "Outcome unknown",
		"The connection to the database broke while the command was written: it may have been, or may yet be.",
		"Send it again with the same Idempotency-Key: it is done once. Without a key, read first.")
	kindTimeout = define(http.StatusServiceUnavailable, "timeout", "Request timed out",
		"The time for a request was up before the work was done. A command may still have been written.",
		"Send it again after the time in Retry-After, a command with the same Idempotency-Key: it is done once.")
	kindProjectionBehind = define(http.StatusServiceUnavailable, "projection-behind", "Read model behind",
		"The read model has not come as far as the consistency token within the time to wait.",
		"Send it again after the time in Retry-After, wait longer with Prefer: wait=5, or take what is there with Prefer: handling=lenient.")
	kindProjectionStopped = define(http.StatusServiceUnavailable, "projection-stopped", "Read model stopped",
		"The read model has not come as far as it must: it is paused, has failed on an event, or no process runs it.",
		"Take what is there with Prefer: handling=lenient, or without a token. The operator finds the reason in the status of the projection.")
	kindEventUnreadable = define(http.StatusServiceUnavailable, "event-unreadable", "Event not known to this server",
		"The stream has an event of a type or schema version that this version of the server does not know. Nothing was written.",
		"Send it again: another server may be newer. The operator has to run the newest version.")
	kindShuttingDown = define(http.StatusServiceUnavailable, "shutting-down", "Server shutting down",
		"The server is being stopped and begins nothing new. Nothing was written.",
		"Send it again after the time in Retry-After.")
	kindNotReady = define(http.StatusServiceUnavailable, "not-ready", "Server not ready",
		"A check of the server fails, or it is being stopped.",
		"GET /readyz?verbose shows which one.")
)
