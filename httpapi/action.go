package httpapi

import (
	"context"
	"net/http"
	"reflect"
)

// ActionOptions are the choices of one action route. All may be left out.
type ActionOptions[T any] struct {
	// Location makes the answer 202 Accepted with this path in Location, where
	// the client finds how it goes on. Default: 200 without Location.
	Location func(T) string
}

// ActionRequest is an action as a handler gets it.
type ActionRequest[Body any] struct {
	// Body is the decoded body; zero if there was none.
	Body Body
	// Actor is who sends the request, as Config.Actor says.
	Actor string
	// Header has the headers of the request.
	Header http.Header

	vars pathVars
}

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
		Answers: []Answer{jsonAnswer[T](status)},
	}
	a.handle(r, func(x *exchange) error {
		in := ActionRequest[Body]{Actor: x.actor, Header: x.r.Header}
		text, err := x.readBody()
		if err != nil {
			return err
		}
		if in.vars, err = x.pathVars(); err != nil {
			return err
		}
		if err := newParams(x.r.URL.RawQuery).err(); err != nil {
			return err
		}
		if len(text) > 0 {
			if err := decode(text, &in.Body); err != nil {
				return err
			}
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
		return x.writeJSON(status, answer)
	})
}
