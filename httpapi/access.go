package httpapi

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/security"
)

// Access is what a request to a route does, and with what: by that Config.Authorizer decides. Without Stream, Category and Filtered it is about
// everything, so that a scope of some categories or streams does not have it.
type Access struct {
	// Action is what it does. Default: read, command or operate, by the Sort of the route.
	Action security.Action `json:"action"`
	// Stream is the stream that it is about, with variables of the path: order-{id}.
	Stream string `json:"stream,omitzero"`
	// Category is the category that it is about.
	Category string `json:"category,omitzero"`
	// Filtered says that the handler itself leaves out, or refuses, what is not in the scope of Caller.
	Filtered bool `json:"filtered,omitzero"`
	// Own says that the handler itself knows who sends a request, by something that is no token: Config.Authenticate is not asked.
	Own bool `json:"own,omitzero"`
}

// actionOf are the actions of routes that say nothing else. Others have to: a route whose action nobody knows keeps the API from being served.
var actionOf = map[Sort]security.Action{SortRead: security.Read, SortCommand: security.Command, SortAction: security.Operate}

// accessOf is that of a command about a stream of a category.
func accessOf(category string, variables []string) Access {
	switch {
	case category == "":
		return Access{Action: security.Command}
	case len(variables) == 1:
		return Access{Action: security.Command, Stream: category + "-{" + variables[0] + "}"}
	}
	return Access{Action: security.Command, Category: category}
}

// Access says what the route that was registered last does, and with what, where its sort does not say it. Of a command that holds for /v1/commands, too.
func (a *API) Access(access Access) {
	if a.internal != "" {
		a.mistake("Access after the internal command %s, which has no route", a.internal)
		return
	}
	if access.Action == "" {
		access.Action = actionOf[a.lastRoute().Sort]
	}
	a.lastRoute().Access = access
	a.lastRoute().authenticated(a.config)
}

// AsksForTokens reports whether requests need a token: Config.Authenticate is set.
func (a *API) AsksForTokens() bool { return a.config.Authenticate != nil }

// undeclared returns what routes lack or say wrong of their access.
func (a *API) undeclared() (mistakes []error) {
	for _, r := range a.routes {
		if r.Public {
			continue
		}
		fail := func(format string, args ...any) {
			mistakes = append(mistakes, fmt.Errorf("httpapi: route %s %s: "+format, append([]any{r.Method, r.Path}, args...)...))
		}
		if !slices.Contains(security.Actions(), r.Access.Action) {
			fail("it must be Public, or have an Access.Action of %v; it has %q", security.Actions(), r.Access.Action)
		}
		said := 0
		for _, is := range []bool{r.Access.Stream != "", r.Access.Category != "", r.Access.Filtered} {
			if is {
				said++
			}
		}
		if said > 1 {
			fail("Access has more than one of Stream, Category and Filtered")
		}
		vars := make(pathVars)
		for _, m := range variablePattern.FindAllStringSubmatch(r.Path, -1) {
			vars[m[1]] = "x"
		}
		if r.Access.Stream != "" && r.Access.resource(vars).Stream == "" {
			fail("Access.Stream %q must have variables of the path only", r.Access.Stream)
		}
	}
	return mistakes
}

// resource is what a request with these variables is about. A stream with others is everything.
func (c Access) resource(vars pathVars) security.Resource {
	stream := ""
	for rest := c.Stream; rest != ""; {
		text, from, found := strings.Cut(rest, "{")
		stream += text
		if !found {
			break
		}
		name, after, _ := strings.Cut(from, "}")
		value, ok := vars[name]
		if !ok {
			return security.Resource{}
		}
		stream += value
		rest = after
	}
	return security.Resource{Stream: stream, Category: c.Category, Part: c.Filtered}
}

// Caller is who sends a request.
type Caller struct {
	security.Principal
	x *exchange
}

// May returns nil if the caller may do that too, for handlers of routes that are Filtered: what else they answer is 403 forbidden. Where nobody
// is asked who sends a request, everybody may do everything.
func (c Caller) May(action security.Action, resource security.Resource) error {
	if c.x == nil {
		return security.ByRole{}.Authorize(c.Principal, action, resource)
	}
	err := c.x.api.config.Authorizer.Authorize(c.Principal, action, resource)
	if err != nil {
		c.x.tellRefusal(err, action)
	}
	return err
}

// Refusal is a request that was refused for who sends it.
type Refusal struct {
	// Principal and Token are who it was, as far as that is known.
	Principal, Token string
	// Action is what it takes; Resource in words what the request was about, if that is why.
	Action   security.Action
	Resource string
	// Reason is one of those of package security.
	Reason string
	// Method and Route are as they were registered.
	Method, Route string
}

// admit finds out who sends a request, and whether they may, before anything else of it is looked at, whatever the route.
func (x *exchange) admit(r *Route) error {
	x.caller = Caller{security.Trusted(""), x}
	if r.Public || x.api.config.Actor == nil && (x.api.config.Authenticate == nil || r.Access.Own) {
		return nil
	}
	err := x.identify(r.Access.Action)
	if err == nil {
		var resource security.Resource
		if resource, err = x.resource(r.Access); err == nil {
			err = x.caller.May(r.Access.Action, resource)
		}
	}
	if err != nil && x.r.ContentLength != 0 && x.r.Header.Get("Expect") == "" {
		x.drain(x.api.config.MaxBody)
	}
	return err
}

func (x *exchange) resource(access Access) (security.Resource, error) {
	if access.Stream == "" {
		return access.resource(nil), nil
	}
	vars, err := x.pathVars()
	return access.resource(vars), err
}

// identify finds out who sends a request, which is to do something.
func (x *exchange) identify(action security.Action) (err error) {
	var p security.Principal
	if ask := x.api.config.Authenticate; ask != nil {
		if p, err = ask(x.r); err != nil {
			x.tellRefusal(err, action)
			if eventstore.ClassOf(err) == eventstore.ClassTimeout {
				err = ofClasses[eventstore.ClassUnavailable].problem(err).withCause(err) // nothing can have been written yet
			}
			return err
		}
	} else {
		var name string
		name, err = x.api.config.Actor(x.r)
		p = security.Trusted(name)
	}
	if err == nil && p.Name != "" {
		if fault := invalidText(p.Name); fault != "" {
			err = errors.New("the actor " + fault)
		}
	}
	if err == nil {
		x.caller.Principal, x.actor = p, p.Name
		return nil
	}
	var own *Problem
	if errors.As(err, &own) {
		return own
	}
	return kindUnauthenticated.Problem(kindUnauthenticated.Meaning).withCause(err)
}

// tellRefusal tells of a request that was refused, if that is what the error says.
func (x *exchange) tellRefusal(err error, action security.Action) {
	told := Refusal{Principal: x.caller.Name, Token: x.caller.Token, Action: action, Method: x.r.Method, Route: x.route}
	if x.quiet {
		return
	}
	var unknown *security.Unauthenticated
	var denied *security.Denied
	switch {
	case errors.As(err, &unknown):
		challenge := "Bearer"
		if unknown.Reason != security.ReasonMissing {
			challenge = `Bearer error="invalid_token"`
		}
		x.w.Header().Set("WWW-Authenticate", challenge)
		told.Reason, told.Token = unknown.Reason, unknown.Token
	case errors.As(err, &denied):
		told.Reason = denied.Reason
		if denied.Reason == security.ReasonScope {
			told.Resource = denied.Resource.String()
		}
	default:
		return
	}
	if tell := x.api.config.Refused; tell != nil {
		tell(told)
	}
}

// securityProblem returns the problem that an error of package security is; nil for others.
func securityProblem(err error) *Problem {
	var unknown *security.Unauthenticated
	var denied *security.Denied
	var limited *security.Limited
	switch {
	case errors.As(err, &limited):
		return kindRateLimited.Problem(limited.Error()).withRetryAfter(int(math.Ceil(limited.After.Seconds())))
	case errors.As(err, &unknown):
		return kindUnauthenticated.Problem(unknown.Error()).withHint(unknown.Hint())
	case errors.As(err, &denied):
		return kindForbidden.Problem(denied.Error() + ".").withHint(denied.Hint())
	}
	return nil
}
