// Package adminapi has the routes by which operators look at projections and subscriptions, steer them, and
// try the filters of subscriptions, for any service: they know of no read model in particular.
package adminapi

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// actorOr returns who asks, as operations and skips have it. Where nobody says, it is the API.
func actorOr(actor string) string { return cmp.Or(actor, "api") }

// Register adds the routes to an API that was made with Problems, in sections of their own. Program is
// how the program is called on the command line.
func Register(a *httpapi.API, program string, admin *projections.Admin, subscriptions *delivery.Admin, broker *delivery.Broker) {
	r := routes{admin, subscriptions, broker}
	a.Section("operations", inWordsOf(program, ofProjections)...)
	r.projections(a)
	r.operations(a)
	a.Section("subscriptions", inWordsOf(program, ofSubscriptions)...)
	r.subscribe(a)
	r.pulls(a)
	r.deadLetters(a)
	r.windows(a)
	r.patterns(a)
	r.transforms(a)
	r.explainRoutes(a)
}

type routes struct {
	admin         *projections.Admin
	subscriptions *delivery.Admin
	broker        *delivery.Broker
}

// Problems are what the errors of projections, of operations on them, of subscriptions and of patterns are over HTTP.
// Program is how the program is called on the command line.
func Problems(program string) []httpapi.DomainProblem {
	return inWordsOf(program, slices.Concat(ofProjections, ofSubscriptions, ofWebhooks, ofTraces))
}

func inWordsOf(program string, problems []httpapi.DomainProblem) []httpapi.DomainProblem {
	problems = slices.Clone(problems)
	for i := range problems {
		problems[i].Kind.Fix = hint.Program(program).Fill(problems[i].Kind.Fix)
	}
	return problems
}

var ofProjections = []httpapi.DomainProblem{
	{Err: projections.ErrNotFound, Kind: kindProjectionNotFound},
	{Err: projections.ErrNotFailed, Kind: kindProjectionNotFailed},
	{Err: operations.ErrNotFound, Kind: kindOperationNotFound},
	{Err: operations.ErrBusy, Kind: kindProjectionBusy},
	{Err: operations.ErrInvalid, Kind: kindInvalidOperation},
	{Err: projections.ErrInUse, Kind: kindProjectionInUse},
	{Err: projections.ErrAnotherApp, Kind: kindAnotherApp},
}

var ofSubscriptions = []httpapi.DomainProblem{
	{Err: errInvalidPattern, Kind: kindInvalidPattern},
	{Err: errInvalidTransform, Kind: kindInvalidTransform},
	{Err: delivery.ErrNoEvent, Kind: kindEventNotFound},
	{Err: operations.ErrInvalid, Kind: kindInvalidOperation},
	{Err: delivery.ErrInvalid, Kind: kindInvalidSubscription},
	{Err: delivery.ErrNotFound, Kind: kindSubscriptionNotFound},
	{Err: delivery.ErrAnotherApp, Kind: kindSubscriptionOfAnotherApp},
	{Err: delivery.ErrRevision, Kind: kindSubscriptionChanged},
	{Err: delivery.ErrNotStopped, Kind: kindSubscriptionNotStopped},
	{Err: delivery.ErrKeyChange, Kind: kindKeyInUse},
	{Err: delivery.ErrHasDeadLetters, Kind: kindHasDeadLetters},
	{Err: delivery.ErrNoDeadLetter, Kind: kindDeadLetterNotFound},
	{Err: delivery.ErrNotWaiting, Kind: kindEventNotWaiting},
	{Err: delivery.ErrNotPulled, Kind: kindNotPulled},
	{Err: delivery.ErrOvertaken, Kind: kindTokenOvertaken},
	{Err: delivery.ErrReplaysRefused, Kind: kindReplaysRefused},
	{Err: delivery.ErrReplayRunning, Kind: kindReplayRunning},
	{Err: delivery.ErrIsReplay, Kind: kindIsReplay},
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
	kindInvalidTransform = httpapi.Kind{Code: "invalid-transform", Status: http.StatusBadRequest,
		Title:   "Invalid transform",
		Meaning: "The transform cannot be compiled, or what it is tried on is no event. Nothing was done.",
		Fix:     "Correct what errors points to; {program} transform test says the same on the command line."}
	kindEventNotFound = httpapi.Kind{Code: "event-not-found", Status: http.StatusNotFound,
		Title:   "Event not found",
		Meaning: "No event that was looked at has the id, the position or the correlation id. An id that has no time in it is looked for from the end of the log.",
		Fix:     "Check the id; {program} streams show STREAM has the positions of events, which are found at once, and scan= says how many to look at."}
	kindInvalidOperation = httpapi.Kind{Code: "invalid-operation", Status: http.StatusBadRequest,
		Title:   "Invalid operation",
		Meaning: "One of the options is missing or out of its bounds, or the projection is not of a kind that this can be done with. Nothing was done.",
		Fix:     "Correct what errors points to, or ask for another operation."}
	kindInvalidSubscription = httpapi.Kind{Code: "invalid-subscription", Status: http.StatusBadRequest,
		Title:   "Invalid subscription",
		Meaning: "The definition of a subscription, or what was asked for about it, is not right. Nothing was done.",
		Fix:     "Correct what errors points to; docs/subscriptions.md has all members with their bounds."}
	kindSubscriptionNotFound = httpapi.Kind{Code: "subscription-not-found", Status: http.StatusNotFound,
		Title:   "Subscription not found",
		Meaning: "There is no subscription of the name. Nothing was done.",
		Fix:     "GET /v1/subscriptions lists them, as {program} subscriptions ls does."}
	kindSubscriptionOfAnotherApp = httpapi.Kind{Code: "subscription-of-another-app", Status: http.StatusConflict,
		Title:   "Subscription of another app",
		Meaning: "Another app on the same log has the subscription of the name. Nothing was done.",
		Fix:     "Choose another name, or ask a server of that app, which detail names."}
	kindSubscriptionChanged = httpapi.Kind{Code: "subscription-changed", Status: http.StatusPreconditionFailed,
		Title:   "Subscription at another revision",
		Meaning: "The subscription is not as If-Match or If-None-Match demands. Nothing was changed.",
		Fix:     "GET the subscription, look at what others have changed, and send the change again with its revision in If-Match."}
	kindSubscriptionNotStopped = httpapi.Kind{Code: "subscription-not-stopped", Status: http.StatusConflict,
		Title:   "Subscription not stopped on this event",
		Meaning: "Only the event that a subscription has stopped on can be skipped, and it has not stopped, or on another one. Nothing was done.",
		Fix:     "GET /v1/subscriptions/{name} has in failure which event it has stopped on, if any. Parked events are retried or discarded instead."}
	kindKeyInUse = httpapi.Kind{Code: "key-in-use", Status: http.StatusConflict,
		Title:   "Key cannot be changed now",
		Meaning: "Events are under way in the order of the present key, and another would give them another order. Nothing was changed.",
		Fix:     "Wait until nothing is parked and all partitions are at one place, or make a subscription of another name."}
	kindHasDeadLetters = httpapi.Kind{Code: "has-dead-letters", Status: http.StatusConflict,
		Title:   "Subscription has dead letters",
		Meaning: "A subscription is removed with its dead letters only if that is said. Nothing was removed.",
		Fix:     "Redrive or discard them; or DELETE with ?discard_dead=true, {program} subscriptions delete --discard-dead."}
	kindDeadLetterNotFound = httpapi.Kind{Code: "dead-letter-not-found", Status: http.StatusNotFound,
		Title:   "Dead letter not found",
		Meaning: "The subscription has no dead letter at the position. Nothing was done.",
		Fix:     "GET /v1/subscriptions/{name}/dead lists them, and …/explain says what became of any event."}
	kindEventNotWaiting = httpapi.Kind{Code: "event-not-waiting", Status: http.StatusConflict,
		Title:   "Event not waiting",
		Meaning: "No event waits for its next attempt at the position. Nothing was done.",
		Fix:     "GET /v1/subscriptions/{name}/explain?position= says what became of it."}
	kindNotPulled = httpapi.Kind{Code: "subscription-not-pulled", Status: http.StatusConflict,
		Title:   "Subscription not pulled",
		Meaning: "The events of the subscription are sent to its target: nobody can ask for them. Nothing was done.",
		Fix:     `Make a subscription of another name with "target":{"pull":{}}.`}
	kindTokenOvertaken = httpapi.Kind{Code: "token-overtaken", Status: http.StatusConflict,
		Title:   "Token overtaken",
		Meaning: "The event is not the caller's any more: its lease ran out and another caller has it or has had it, or it was given back. Nothing was done.",
		Fix:     "Forget it: it is tried again. Extend the lease before it runs out, or ask for a longer one."}
	kindReplaysRefused = httpapi.Kind{Code: "replays-refused", Status: http.StatusConflict,
		Title:   "Replays refused",
		Meaning: "The target may have side effects that are not to happen twice: nobody has said that it may get events again. Nothing was begun.",
		Fix:     `Say "allow":true in the request, or "replays":"allow" in the definition; or name another target.`}
	kindReplayRunning = httpapi.Kind{Code: "replay-running", Status: http.StatusConflict,
		Title:   "Another replay is running",
		Meaning: "One replay of a subscription runs at a time. Nothing was begun.",
		Fix:     "Wait for it, GET /v1/subscriptions/{name}/replays says how far it is; or end it: DELETE /v1/subscriptions/{replay} with its name."}
	kindIsReplay = httpapi.Kind{Code: "subscription-is-replay", Status: http.StatusConflict,
		Title:   "Subscription is a replay",
		Meaning: "A replay of a subscription has its name and a number. It can be looked at, paused, resumed and deleted, and its dead letters be decided on; nothing else was done.",
		Fix:     "Name the subscription, or DELETE the replay and begin another one."}
)
