package security

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is a kind of what requests do. It is the name of the role that permits it, too.
type Action string

// The actions. Admin is what nothing else permits; its role permits all.
const (
	// Read looks at events, read models, or how the engine is.
	Read Action = "read"
	// Append writes events as they are, past the rules of commands.
	Append Action = "append"
	// Command runs commands.
	Command Action = "command"
	// Operate steers the engine: projections, subscriptions, operations.
	Operate Action = "operate"
	// Admin is the rest.
	Admin Action = "admin"
)

// Actions returns all of them.
func Actions() []Action { return []Action{Read, Append, Command, Operate, Admin} }

// Principal is who sends a request.
type Principal struct {
	// Name is what events, operations and the scopes of idempotency keys have. "" is nobody.
	Name string
	// Token is the id of the token that it was known by; "": it was by something else.
	Token string
	// Roles are the names of the actions that are permitted in Scope.
	Roles []Action
	Scope Scope
}

// Trusted is a principal who may do everything, as all may where nobody decides.
func Trusted(name string) Principal { return Principal{Name: name, Roles: trusted} }

var trusted = []Action{Admin}

// Has reports whether one of the roles permits an action.
func (p Principal) Has(a Action) bool {
	return slices.Contains(p.Roles, a) || slices.Contains(p.Roles, Admin)
}

// Resource is what an action is done with. The zero value is everything.
type Resource struct {
	// Stream is one stream, Category all of a category. One is set at most.
	Stream, Category string
	// Part says that it is the part that the principal may have: who does it leaves out the rest.
	Part bool
}

// String says what it is, in words.
func (r Resource) String() string {
	switch {
	case r.Part:
		return "a part of the log"
	case r.Stream != "":
		return "stream " + r.Stream
	case r.Category != "":
		return "category " + r.Category
	}
	return "all of the log"
}

// Authorizer decides who may do what. It is asked for every request, by many goroutines at once.
type Authorizer interface {
	// Authorize returns nil, or a *Denied that says why not.
	Authorize(Principal, Action, Resource) error
}

// ByRole is the Authorizer that goes by roles and scopes.
type ByRole struct{}

// Authorize implements Authorizer.
func (ByRole) Authorize(p Principal, a Action, r Resource) error {
	if !p.Has(a) {
		return &Denied{Principal: p, Action: a, Resource: r, Reason: ReasonRole}
	}
	if p.Scope.IsAll() {
		return nil
	}
	permitted := r.Part
	switch {
	case r.Stream != "":
		permitted = p.Scope.HasStream(r.Stream)
	case r.Category != "":
		permitted = p.Scope.HasCategory(r.Category)
	}
	if !permitted {
		return &Denied{Principal: p, Action: a, Resource: r, Reason: ReasonScope}
	}
	return nil
}

// Why requests are refused, as audit events and metrics have it.
const (
	// ReasonRole: no role of the principal permits the action.
	ReasonRole = "role"
	// ReasonScope: what it is about is not in the scope of the principal.
	ReasonScope = "scope"
	// ReasonMissing: nothing says who sends the request. ReasonMalformed: what says it cannot be read.
	ReasonMissing   = "missing"
	ReasonMalformed = "malformed"
	// ReasonUnknown: nobody has that token. ReasonExpired, ReasonRevoked: somebody had.
	ReasonUnknown = "unknown"
	ReasonExpired = "expired"
	ReasonRevoked = "revoked"
)

// Reasons returns all of them.
func Reasons() []string {
	return []string{ReasonRole, ReasonScope, ReasonMissing, ReasonMalformed, ReasonUnknown, ReasonExpired, ReasonRevoked}
}

// Denied says that a principal may not do something.
type Denied struct {
	Principal Principal
	Action    Action
	Resource  Resource
	// Reason is ReasonRole or ReasonScope.
	Reason string
}

// Error implements error.
func (d *Denied) Error() string {
	if d.Reason == ReasonRole {
		return fmt.Sprintf("%q has not the role %s, but %s", d.Principal.Name, d.Action, list(d.Principal.Roles))
	}
	return fmt.Sprintf("%q has the role %s, but not for %s", d.Principal.Name, d.Action, d.Resource)
}

// Hint says what it would take.
func (d *Denied) Hint() string {
	if d.Reason == ReasonRole {
		return fmt.Sprintf("Ask the operator for a token with the role %s.", d.Action)
	}
	if d.Resource == (Resource{}) {
		return "What this route answers with or does is not of one category or stream: it needs a token without categories and stream prefixes."
	}
	return "Ask the operator for a token whose scope has it, by its category or the beginning of its stream."
}

func list(roles []Action) string {
	if len(roles) == 0 {
		return "none"
	}
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return strings.Join(names, ", ")
}

// Unauthenticated says that it is not known who sends a request. Its text may be told to the sender.
type Unauthenticated struct {
	// Reason is one of ReasonMissing to ReasonRevoked.
	Reason string
	// Token is the id of the token that was sent, if it could be read.
	Token string
}

var unauthenticated = map[string][2]string{
	ReasonMissing:   {"The request has no token.", "Send the header Authorization: Bearer TOKEN."},
	ReasonMalformed: {"The token is not as it was handed out: a character is wrong or missing.", "Copy it again, whole. It begins with " + tokenPrefix + "."},
	ReasonUnknown:   {"Nobody has this token.", "It may be for another server or app; ask the operator for one."},
	ReasonExpired:   {"The token has expired.", "Ask the operator for a new one."},
	ReasonRevoked:   {"The token was revoked.", "Ask the operator for a new one."},
}

// Error implements error.
func (u *Unauthenticated) Error() string { return unauthenticated[u.Reason][0] }

// Hint says what to do.
func (u *Unauthenticated) Hint() string { return unauthenticated[u.Reason][1] }

// Limited says that a principal sends more requests than it may.
type Limited struct {
	// After is when the next one may be sent.
	After time.Duration
}

// Error implements error.
func (l *Limited) Error() string { return "There were more requests than this token may send." }
