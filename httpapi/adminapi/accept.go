package adminapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

// maxAccepted is how many events a request may have.
const maxAccepted = 10_000

// acceptBody is what another Recount forwards.
type acceptBody struct {
	// Log is the id of the log that forwards, Events are as targets get them, in the order in which they are to be appended.
	Log    uuid.UUID        `json:"log" http:"required"`
	Events []jsontext.Value `json:"events" http:"required"`
}

var kindTokenUnknown = httpapi.Kind{
	Code: "token-unknown", Status: http.StatusUnauthorized, Title: "Token unknown",
	Meaning: "The request has no token that may forward events to this log. Nothing was written.",
	Fix:     "Send a token of serve --accept as " + delivery.TokenHeader + ".",
}

// RegisterAccept adds the route by which others forward events to the log.
func RegisterAccept(a *httpapi.API, to *delivery.Acceptor) {
	a.Section("accept", httpapi.DomainProblem{Err: delivery.ErrNotGranted, Kind: kindTokenUnknown})
	httpapi.Action(a, http.MethodPost, delivery.AcceptPath, httpapi.ActionOptions[delivery.Accepted]{},
		func(ctx context.Context, in httpapi.ActionRequest[acceptBody]) (delivery.Accepted, error) {
			if len(in.Body.Events) > maxAccepted {
				return delivery.Accepted{}, &eventstore.InvalidError{Field: "events", Reason: fmt.Sprintf("must be at most %d", maxAccepted)}
			}
			events := make([]delivery.Event, len(in.Body.Events))
			var err error
			for i, text := range in.Body.Events {
				if events[i], err = delivery.ParseEvent(text); err != nil || events[i].RecordedEvent.ID == uuid.Nil {
					return delivery.Accepted{}, &eventstore.InvalidError{Field: "events/" + strconv.Itoa(i), Reason: "must be an event with an id, as targets get it"}
				}
			}
			done, err := to.Accept(ctx, in.Header.Get(delivery.TokenHeader), in.Body.Log, events)
			if errors.Is(err, delivery.ErrNotGranted) {
				return done, kindTokenUnknown.Problem("No grant has the token of the request.") // why a token cannot be read is none of its business
			}
			return done, err
		})
	a.Access(httpapi.Access{Action: security.Append, Own: true})
}
