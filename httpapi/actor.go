package httpapi

import "errors"

// actor returns who sends a command, "" if the API does not ask.
func (x *exchange) actor() (string, error) {
	if x.api.config.Actor == nil {
		return "", nil
	}
	actor, err := x.api.config.Actor(x.r)
	var own *Problem
	if errors.As(err, &own) {
		return "", own
	}
	if err == nil && actor != "" {
		if fault := invalidText(actor); fault != "" {
			err = errors.New("the actor " + fault)
		}
	}
	if err != nil {
		return "", kindUnauthenticated.Problem(kindUnauthenticated.Meaning).withCause(err)
	}
	return actor, nil
}
