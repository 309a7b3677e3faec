package httpapi

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// Sort is what a route does: it says which headers and problems go with the route.
type Sort int

// The sorts of routes.
const (
	// SortOwn is a route of the API itself, such as /livez.
	SortOwn Sort = iota
	// SortCommand is one by Command, or that of Commands.
	SortCommand
	// SortRead is one by Read.
	SortRead
	// SortAction is one by Action.
	SortAction
)

// Route is a route as it was registered.
type Route struct {
	Method string
	// Path is a template, with variables in braces.
	Path string
	Sort Sort
	// Public says that anybody may use the route: nobody is asked who that is. Authenticated says that it is asked.
	Public, Authenticated bool
	// Access says what a request does, and with what.
	Access Access
	// Section is the part of the API that the route is in: see API.Section.
	Section string
	// Command is the name of the command that the route runs, if it has one; AnyCommand says that it is that of
	// Commands, which runs all of them.
	Command    string
	AnyCommand bool
	// Parameters are those of the query.
	Parameters []Parameter
	// Body is what a body is decoded to; nil: there is none. OptionalBody says that it may be left out.
	Body         reflect.Type
	OptionalBody bool
	// Conditional says that an action takes If-Match and If-None-Match, and answers with an ETag.
	Conditional bool
	// Answers are those of requests that succeed.
	Answers []Answer

	// problems are those of the section.
	problems []DomainProblem
	// authorized says that Config.Authorizer is asked.
	authorized bool
}

// Parameter is a query parameter.
type Parameter struct {
	Name string
	// Type is that of JSON: string, integer, number or boolean.
	Type string
	// Format is that of OpenAPI: date, date-time, uuid, int64; else empty.
	Format string
	// Values are all that there are; none: any of the type.
	Values []string
	// MaxBytes is the most that a text may have, which has one at least.
	MaxBytes int
	// Low, High and Default are those of an integer without a Format.
	Low, High, Default int64
}

// Answer is what a route answers a request with that succeeds.
type Answer struct {
	Status int
	// ContentType is application/json, if there is a Type.
	ContentType string
	// Type is what JSON is made of; nil for other content.
	Type reflect.Type
}

func jsonAnswer[T any](status int) Answer { return Answer{status, jsonType, reflect.TypeFor[T]()} }

// Routes returns the routes in the order in which they were registered.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// Section begins a part of the API, for those who read what there is: routes that are registered from here
// on are in it. Problems are what its rules refuse requests with.
func (a *API) Section(name string, problems ...DomainProblem) {
	a.section, a.sectionProblems = name, problems
}

// Answers says what the answer of the route that was registered last looks like, where the type of the
// handler does not: a struct for a map, for example.
func (a *API) Answers(t reflect.Type) { a.lastRoute().Answers[0].Type = t }

// lastRoute is the one that was registered last.
func (a *API) lastRoute() *Route { return &a.routes[len(a.routes)-1] }

// authenticated notes who is asked for whom.
func (r *Route) authenticated(c Config) {
	r.authorized = c.Authenticate != nil && !r.Public && !r.Access.Own
	r.Authenticated = r.authorized || c.Actor != nil && !r.Public
}

func (r Route) same(other Route) bool { return r.Method == other.Method && r.Path == other.Path }

// Problems returns the kinds of problems that the route answers requests with that came to it, by code: those
// of its section, and those of the API itself.
func (r Route) Problems() []Kind {
	list := slices.Clone(problemsOf[r.Sort])
	add := func(when bool, kinds ...Kind) {
		if when {
			list = append(list, kinds...)
		}
	}
	takes := func(name string) bool {
		return slices.ContainsFunc(r.Parameters, func(p Parameter) bool { return p.Name == name })
	}
	add(true, kindInternal, kindInvalidParameter)
	add(strings.Contains(r.Path, "{"), kindInvalidPath)
	add(r.Method != http.MethodGet, kindCrossOrigin)
	add(r.Body != nil, kindMalformedJSON, kindInvalidBody, kindBodyTimeout, kindBodyTooLarge, kindUnsupportedMediaType)
	add(r.Authenticated, kindUnauthenticated)
	add(r.authorized, kindForbidden, kindRateLimited)
	add(r.Conditional, kindInvalidHeader)
	add(takes("after"), kindInvalidCursor)
	add(takes("as_of"), kindAhead, kindLongHistory, kindHistoryUnreadable, kindEventUnreadable)
	for _, p := range r.problems {
		// A conflict is one of what a request would change.
		add(r.Method != http.MethodGet || p.Kind.Status != http.StatusConflict, p.Kind)
	}
	slices.SortFunc(list, func(x, y Kind) int { return strings.Compare(x.Code, y.Code) })
	return slices.Compact(list)
}

// ofDatabase are the problems of all that need it.
var ofDatabase = []Kind{
	kindInvalidRequest, kindLogDamaged, kindOverloaded, kindUnavailable, kindDatabaseBehind, kindTimeout, kindShuttingDown,
}

// problemsOf are those of the API itself that go with the sort of a route.
var problemsOf = map[Sort][]Kind{
	SortCommand: append([]Kind{
		kindInvalidHeader, kindConflict, kindEventIDReused, kindDeleted, kindTruncated, kindHistoryUnreadable, kindPreconditionFailed,
		kindRejected, kindInvalidIdempotencyKey, kindIdempotencyInProgress, kindIdempotencyKeyReused, kindNotSupported, kindLogNotAdopted,
		kindOutcomeUnknown, kindEventUnreadable,
	}, ofDatabase...),
	SortRead: append([]Kind{
		kindInvalidHeader, kindInvalidToken, kindNotFound, kindLogChanged, kindProjectionBehind, kindProjectionStopped,
	}, ofDatabase...),
	SortAction: ofDatabase,
}
