// Package adminapi has the routes by which operators look at projections and steer them, and try
// the filters of subscriptions, for any service: they know of no read model in particular.
package adminapi

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// actorOr returns who asks, as operations and skips have it. Where nobody says, it is the API.
func actorOr(actor string) string { return cmp.Or(actor, "api") }

// Register adds the routes to an API that was made with Problems.
func Register(a *httpapi.API, admin *projections.Admin) {
	r := routes{admin}
	r.projections(a)
	r.operations(a)
	r.patterns(a)
}

type routes struct{ admin *projections.Admin }

// Problems are what the errors of projections, of operations on them and of patterns are over HTTP.
// Program is how the program is called on the command line.
func Problems(program string) []httpapi.DomainProblem {
	all := []httpapi.DomainProblem{
		{Err: projections.ErrNotFound, Kind: kindProjectionNotFound},
		{Err: projections.ErrNotFailed, Kind: kindProjectionNotFailed},
		{Err: operations.ErrNotFound, Kind: kindOperationNotFound},
		{Err: operations.ErrBusy, Kind: kindProjectionBusy},
		{Err: operations.ErrInvalid, Kind: kindInvalidOperation},
		{Err: projections.ErrInUse, Kind: kindProjectionInUse},
		{Err: projections.ErrAnotherApp, Kind: kindAnotherApp},
		{Err: errInvalidPattern, Kind: kindInvalidPattern},
	}
	for i := range all {
		all[i].Kind.Fix = strings.ReplaceAll(all[i].Kind.Fix, "{program}", program)
	}
	return all
}

var (
	kindProjectionNotFound = httpapi.Kind{Code: "projection-not-found", Status: http.StatusNotFound,
		Title:   "Projection not found",
		Meaning: "This server has no projection of the name, or none that was ever run. Nothing was done.",
		Fix:     "GET /v1/projections lists them, as {program} projections ls does."}
	kindProjectionNotFailed = httpapi.Kind{Code: "projection-not-failed", Status: http.StatusConflict,
		Title:   "Projection not stopped on this event",
		Meaning: "Only the event that a projection has stopped on can be left out of it, and it has not stopped, or on another one. Nothing was done.",
		Fix:     "GET /v1/projections/{name} says what the projection is doing, and in failure which event it has stopped on, if any."}
	kindProjectionInUse = httpapi.Kind{Code: "projection-in-use", Status: http.StatusConflict,
		Title:   "Projection in use",
		Meaning: "A process runs these rows or works on them, or the view shows the rows of this version. Nothing was removed.",
		Fix:     "Stop the programs that have the projection or the version; GET /v1/projections says who runs it, and in in_view what the view shows."}
	kindAnotherApp = httpapi.Kind{Code: "projection-of-another-app", Status: http.StatusConflict,
		Title:   "Projection of another app",
		Meaning: "Another app on the same log has the projection of the name. Nothing was done.",
		Fix:     "Ask a server of that app, which detail names; GET /v1/projections lists those of this one."}
	kindOperationNotFound = httpapi.Kind{Code: "operation-not-found", Status: http.StatusNotFound,
		Title:   "Operation not found",
		Meaning: "No operation has this id.",
		Fix:     "Take the id from Location of the answer that began it; {program} projections show NAME lists the last ones."}
	kindProjectionBusy = httpapi.Kind{Code: "projection-busy", Status: http.StatusConflict,
		Title:   "Projection busy",
		Meaning: "A projection is rebuilt, rolled back, verified or repaired by one operation at a time. Nothing was begun.",
		Fix:     "Wait for it, or end it: DELETE /v1/operations/{id}, or {program} projections cancel with its id."}
	kindInvalidPattern = httpapi.Kind{Code: "invalid-pattern", Status: http.StatusBadRequest,
		Title:   "Invalid pattern",
		Meaning: "The pattern is none, or the event to match with it is no envelope. Nothing was done.",
		Fix:     "Correct what errors points to; {program} pattern test says the same on the command line."}
	kindInvalidOperation = httpapi.Kind{Code: "invalid-operation", Status: http.StatusBadRequest,
		Title:   "Invalid operation",
		Meaning: "One of the options is missing or out of its bounds, or the projection is not of a kind that this can be done with. Nothing was begun.",
		Fix:     "Correct what errors points to, or ask for another operation."}
)
