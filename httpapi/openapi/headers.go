package openapi

import (
	"net/http"

	"github.com/57528e99/recount/httpapi"
)

// ofConditional are those of an action that changes what has a version.
var ofConditional = []string{"If-Match", "If-None-Match"}

// headersOf are the headers of requests, as requestHeaders has them, by the sort of the route.
var headersOf = map[httpapi.Sort][]string{
	httpapi.SortCommand: {"Idempotency-Key", "If-Match", "If-None-Match", "X-Correlation-Id", "Traceparent"},
	httpapi.SortRead:    {"Consistency-Token", "Prefer", "If-None-Match"},
}

var requestHeaders = object{
	"Idempotency-Key": header("Idempotency-Key", "The command takes effect once: a retry gets the first answer. 1 to 255 printable ASCII characters in quotes."),
	"If-Match":        header("If-Match", `Only at this version, or of what is there, for *. As ETag of an answer has it: "7".`),
	"If-None-Match":   header("If-None-Match", "To a command, *: only if there is nothing yet. To a read, an ETag: 304 if it is the same still."),
	"X-Correlation-Id": header("X-Correlation-Id",
		"Ties the events of one business transaction together. 1 to 255 printable ASCII characters."),
	"Traceparent":       header("traceparent", "W3C Trace Context; it goes into the metadata of the events."),
	"Consistency-Token": header("Consistency-Token", "That of the answer to a command: waits until the read model has come so far."),
	"Prefer":            header("Prefer", "wait=5: how many seconds to wait. handling=lenient: then take what is there."),
}

func header(name, about string) object {
	return object{"name": name, "in": "header", "description": about, "schema": object{"type": "string"}}
}

var answerHeaders = object{
	"ETag":                 answerHeader("The version, in quotes, for If-Match; of what has none, a weak tag of the content."),
	"Consistency-Token":    answerHeader("For reads that must see what was written."),
	"Location":             answerHeader("The path of what was made."),
	"Idempotency-Replayed": answerHeader("true, if this is the first answer again."),
	"Link":                 answerHeader(`The next page, with rel="next".`),
	"Preference-Applied":   answerHeader("What of Prefer was done."),
	"Retry-After":          answerHeader("In how many seconds to send it again."),
}

func answerHeader(about string) object {
	return object{"description": about, "schema": object{"type": "string"}}
}

// answerHeadersOf are those of the answers with a status.
func answerHeadersOf(r httpapi.Route, status int) object {
	var names []string
	switch {
	case r.Sort == httpapi.SortCommand:
		names = []string{"ETag", "Consistency-Token", "Idempotency-Replayed"}
	case r.Sort == httpapi.SortRead:
		names = []string{"ETag", "Link", "Preference-Applied"}
	case r.Conditional:
		names = []string{"ETag"}
	}
	if (status == http.StatusCreated || status == http.StatusAccepted) && !r.Conditional {
		names = append(names, "Location")
	}
	all := make(object)
	for _, name := range names {
		all[name] = referenceTo("headers", name)
	}
	return all
}
