package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// ActionOptions are the choices of one action route. All may be left out.
type ActionOptions[T any] struct {
	// Location makes the answer 202 Accepted with this path in Location, where
	// the client finds how it goes on. Default: 200 without Location.
	Location func(T) string
	// Created reports whether the answer is about something that was made: it is 201 Created then.
	// Default: it never is.
	Created func(T) bool
	// Version returns the version of what the answer is about, for its ETag; 0: none. The route then takes If-Match
	// and If-None-Match, see ActionRequest.Expected. Default: there is none.
	Version func(T) int64
	// Flags are the query parameters that the route takes: each is given, or not. Default: none.
	Flags []string
}

// ActionRequest is an action as a handler gets it.
type ActionRequest[Body any] struct {
	// Body is the decoded body; zero if there was none.
	Body Body
	// Actor is who sends the request, as Config.Actor says, and Caller what they may do.
	Actor  string
	Caller Caller
	// Header has the headers of the request.
	Header http.Header
	// Expected is what the request demands of the version of what it changes, eventstore.Any if it
	// does not say.
	Expected eventstore.ExpectedVersion

	vars  pathVars
	flags []string
}

// Flag reports whether one of ActionOptions.Flags was given.
func (r ActionRequest[Body]) Flag(name string) bool { return slices.Contains(r.flags, name) }

// Path returns a variable part of the path, decoded: 1 to 512 bytes of UTF-8
// without control characters.
func (r ActionRequest[Body]) Path(name string) string { return r.vars[name] }

// Action registers a route that steers the server itself and appends nothing to
// the log: it has no receipt and takes no Idempotency-Key, so it must do no
// harm when it is repeated. Body is a struct, see Validator; a request without
// one is taken for {}. The answer is JSON of T.
func Action[Body, T any](a *API, method, path string, o ActionOptions[T], handle func(context.Context, ActionRequest[Body]) (T, error)) {
	status := http.StatusOK
	if o.Location != nil {
		status = http.StatusAccepted
	}
	r := Route{
		Method: method, Path: path, Sort: SortAction, Body: reflect.TypeFor[Body](), OptionalBody: true,
		Conditional: o.Version != nil, Answers: []Answer{jsonAnswer[T](status)},
	}
	if o.Created != nil {
		r.Answers = append(r.Answers, jsonAnswer[T](http.StatusCreated))
	}
	for _, name := range o.Flags {
		r.Parameters = append(r.Parameters, Parameter{Name: name, Type: "boolean"})
	}
	a.handle(r, func(x *exchange) error {
		in := ActionRequest[Body]{Actor: x.actor, Caller: x.caller, Header: x.r.Header}
		text, err := x.readBody()
		if err != nil {
			return err
		}
		if in.vars, err = x.pathVars(); err != nil {
			return err
		}
		params := newParams(x.r.URL.RawQuery)
		for _, name := range o.Flags {
			if params.Flag(name) {
				in.flags = append(in.flags, name)
			}
		}
		if err := params.err(); err != nil {
			return err
		}
		in.Expected = eventstore.Any
		if o.Version != nil {
			if in.Expected, err = x.precondition(); err != nil {
				return err
			}
		}
		if len(text) == 0 {
			text = []byte("{}")
		}
		if err := decode(text, &in.Body); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(x.r.Context(), a.config.Timeout)
		defer cancel()
		answer, err := handle(ctx, in)
		if err != nil {
			return err
		}
		if o.Location != nil {
			x.w.Header().Set("Location", o.Location(answer))
		}
		if o.Version != nil && o.Version(answer) > 0 {
			x.w.Header().Set("ETag", versionTag(o.Version(answer)))
		}
		if o.Created != nil && o.Created(answer) {
			return x.writeJSON(http.StatusCreated, answer)
		}
		return x.writeJSON(status, answer)
	})
}
