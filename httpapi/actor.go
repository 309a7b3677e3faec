package httpapi

import "errors"

// admit finds out who sends a request before anything else of it is looked at, whatever the route.
func (x *exchange) admit(r Route) error {
	if r.Public || x.api.config.Actor == nil {
		return nil
	}
	actor, err := x.api.config.Actor(x.r)
	if err == nil && actor != "" {
		if fault := invalidText(actor); fault != "" {
			err = errors.New("the actor " + fault)
		}
	}
	if err == nil {
		x.actor = actor
		return nil
	}
	if x.r.ContentLength != 0 && x.r.Header.Get("Expect") == "" {
		x.drain(x.api.config.MaxBody)
	}
	var own *Problem
	if errors.As(err, &own) {
		return own
	}
	return kindUnauthenticated.Problem(kindUnauthenticated.Meaning).withCause(err)
}
