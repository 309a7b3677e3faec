package adminapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

// patterns registers the route that tries the filter of a subscription.
func (r routes) patterns(a *httpapi.API) {
	httpapi.Action(a, http.MethodPost, "/v1/patterns/test", httpapi.ActionOptions[pattern.Explanation]{}, testPattern)
	a.Access(httpapi.Access{Action: security.Read, Filtered: true})
}

// patternTest is a pattern, and the envelope of an event to match with it.
type patternTest struct {
	Pattern jsontext.Value `json:"pattern" http:"required"`
	Event   jsontext.Value `json:"event" http:"required"`
}

func testPattern(_ context.Context, in httpapi.ActionRequest[patternTest]) (pattern.Explanation, error) {
	p, inPattern := read("/pattern", in.Body.Pattern, pattern.Compile)
	e, inEvent := read("/event", in.Body.Event, pattern.ParseEvent)
	if err := errors.Join(inPattern, inEvent); err != nil {
		return pattern.Explanation{}, err
	}
	return p.Explain(&e), nil
}

// read reads a member of the body, whose errors say where in the body they are.
func read[T any](at string, text jsontext.Value, parse func([]byte) (T, error)) (v T, err error) {
	if text == nil {
		return v, &patternError{at, "it is missing"}
	}
	v, err = parse(text)
	var known *pattern.Error
	if errors.As(err, &known) {
		err = &patternError{at + known.Pointer, known.Reason}
	}
	return v, err
}

var errInvalidPattern = errors.New("invalid pattern")

// patternError says what is wrong with a pattern, or with an event to match, at a place in the body.
type patternError struct{ pointer, reason string }

func (e *patternError) Error() string { return e.pointer + ": " + e.reason }

func (e *patternError) Unwrap() error { return errInvalidPattern }

// InvalidField blames that place.
func (e *patternError) InvalidField() (pointer, reason string) { return e.pointer, e.reason }
