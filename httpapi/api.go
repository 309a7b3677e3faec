package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/security"
)

// Config says how an API behaves. Its zero value works.
type Config struct {
	// Logger gets one line for each request. Default: nothing is logged.
	Logger zerolog.Logger
	// Actor returns who sends a request, as events, operations and the scopes of idempotency keys have
	// it: "" or 1 to 512 bytes of UTF-8 without control characters. It is asked once for every request,
	// before anything else of it is looked at, but for routes that are Public; it leaves the body alone.
	// An error is 401 unauthenticated, or the problem that it is. Default: nobody. Who it is may use all routes.
	Actor func(*http.Request) (string, error)
	// Authenticate returns who sends a request, instead of Actor and when that would be asked: the Name of who it returns is as what
	// Actor returns. *security.Unauthenticated is 401 unauthenticated. Default: Actor is asked.
	Authenticate func(*http.Request) (security.Principal, error)
	// Authorizer decides what those may do that Authenticate returns. Default: security.ByRole.
	Authorizer security.Authorizer
	// Refused is told of requests that were refused for who sends them, by many goroutines at once. Default: nobody.
	Refused func(Refusal)
	// Problems turns errors of the domain into problems; the first match
	// counts. A refusal that matches none is 422 rejected. Default: empty.
	Problems []DomainProblem
	// Host reports whether requests may be for a host, which is as the header has it; 421 misdirected if not. Default: they may.
	Host func(string) bool
	// Middleware is around all routes, the first outermost. Default: none.
	Middleware []func(http.Handler) http.Handler
	// Now is the clock that gives commands their time. Default: time.Now.
	Now func() time.Time
	// MaxBody is how many bytes a body may have. Default: 1 MiB.
	MaxBody int64
	// BodyTimeout is how long a body may take to arrive. Default: 30s.
	BodyTimeout time.Duration
	// Timeout is how long the work for one request may take, waits included.
	// Default: 30s.
	Timeout time.Duration
	// ReadWait is how long a read with a consistency token waits for its read
	// model unless the client says otherwise. Default: 1s.
	ReadWait time.Duration
	// MaxReadWait is the longest wait that a client gets, below Timeout.
	// Default: 10s, or a third of Timeout if that is less.
	MaxReadWait time.Duration
	// CheckTimeout is how long the checks of /readyz may take. Default: 2s.
	CheckTimeout time.Duration
	// Hint returns what an operator does about an error that makes the service unavailable, in
	// place of the Fix of its problem, and beside a check that fails; "" for an error it knows
	// nothing of. Default: nothing.
	Hint func(error) string
	// Observe is told of every request that was answered, by many goroutines at
	// once. Default: nobody.
	Observe func(Observation)
}

// Observation is a request that was answered.
type Observation struct {
	// Method is as the client sent it: any word at all.
	Method string
	// Route is the path as it was registered; empty: no route took the request.
	Route string
	// Status is that of HTTP.
	Status int
	// Duration is from the header of the request to the end of the answer.
	Duration time.Duration
}

func (c *Config) setDefaults() error {
	for _, d := range []*time.Duration{&c.BodyTimeout, &c.Timeout, &c.ReadWait, &c.MaxReadWait, &c.CheckTimeout} {
		if *d < 0 {
			return errors.New("httpapi: a duration of Config is negative")
		}
	}
	if c.MaxBody < 0 {
		return errors.New("httpapi: Config.MaxBody is negative")
	}
	if c.Actor != nil && c.Authenticate != nil {
		return errors.New("httpapi: Config has both Actor and Authenticate")
	}
	if c.Authorizer == nil {
		c.Authorizer = security.ByRole{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Hint == nil {
		c.Hint = func(error) string { return "" }
	}
	orDefault(&c.MaxBody, 1<<20)
	orDefault(&c.BodyTimeout, 30*time.Second)
	orDefault(&c.Timeout, 30*time.Second)
	orDefault(&c.MaxReadWait, min(10*time.Second, c.Timeout/3))
	orDefault(&c.ReadWait, min(time.Second, c.MaxReadWait))
	orDefault(&c.CheckTimeout, 2*time.Second)
	if c.ReadWait > c.MaxReadWait || c.MaxReadWait >= c.Timeout {
		return fmt.Errorf("httpapi: Config must have ReadWait %v <= MaxReadWait %v < Timeout %v", c.ReadWait, c.MaxReadWait, c.Timeout)
	}
	return nil
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// API is a set of routes and how they are served. Make one with New, register
// its routes with Command, Read and AddCheck, then serve it.
type API struct {
	config   Config
	router   *mux.Router
	guarded  http.Handler // the router behind the guard against other sites
	kinds    map[string]Kind
	routes   []Route
	commands []*command // those with a name
	checks   []check
	details  []detail
	running  inProgress
	draining atomic.Bool
	mistakes []error
	// internal is the command that was registered last, if it has no route.
	internal string
	// stopping is done when streams are to end, as the server stops.
	stopping    context.Context
	stopStreams context.CancelFunc

	section         string
	sectionProblems []DomainProblem
}

// New returns an API that serves its index at /, /livez, /readyz and the pages
// under /problems. Mistakes in the config are errors.
func New(config Config) (*API, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	a := &API{config: config, kinds: make(map[string]Kind)}
	a.stopping, a.stopStreams = context.WithCancel(context.Background())
	if err := a.collectKinds(); err != nil {
		return nil, err
	}
	// Paths are matched as they were sent, so that an id may hold a slash as
	// %2F; cleaning them would redirect such requests.
	a.router = mux.NewRouter().UseEncodedPath().SkipClean(true)
	anybody := func() *Route { return &Route{Public: true} }
	a.router.NotFoundHandler = a.handler(anybody, unroutable)
	a.router.MethodNotAllowedHandler = a.router.NotFoundHandler
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(a.handler(anybody, func(*exchange) error {
		return kindCrossOrigin.Problem("The request came from a page of another site.")
	}))
	a.guarded = guard.Handler(a.router)
	for _, around := range slices.Backward(config.Middleware) {
		a.guarded = around(a.guarded)
	}
	if config.Host != nil {
		a.guarded = a.onlyFor(config.Host, a.guarded)
	}
	a.serveBuiltins()
	return a, nil
}

func (a *API) onlyFor(host func(string) bool, next http.Handler) http.Handler {
	refuse := a.handler(func() *Route { return &Route{Public: true} }, func(x *exchange) error {
		return kindMisdirected.Problem(fmt.Sprintf("The request is for %q, which is none of this server's names.", sanitize(x.r.Host)))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !host(r.Host) {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *API) serveBuiltins() {
	public := func(path string, answer Answer, h func(*exchange) error) {
		a.handle(Route{Method: http.MethodGet, Path: path, Public: true, Answers: []Answer{answer}}, h)
	}
	public("/", jsonAnswer[index](http.StatusOK), a.index)
	healthy := jsonAnswer[health](http.StatusOK)
	public("/livez", healthy, a.livez)
	public("/readyz", healthy, a.readyz)
	page := Answer{Status: http.StatusOK, ContentType: htmlType}
	public("/problems", page, a.problemList)
	public(problemPath+"{code}", page, a.problemPage)
}

// Handler returns the handler of the whole API. Mistakes made while routes were
// registered are its error. No route may be registered after it.
func (a *API) Handler() (http.Handler, error) {
	if mistakes := append(a.mistakes, a.undeclared()...); len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return a, nil
}

func (a *API) mistake(format string, args ...any) {
	a.mistakes = append(a.mistakes, fmt.Errorf("httpapi: "+format, args...))
}

// handle registers a route. One for GET answers HEAD too: net/http leaves the
// body out.
func (a *API) handle(r Route, h func(*exchange) error) {
	if slices.ContainsFunc(a.routes, r.same) {
		a.mistake("route %s %s is registered twice", r.Method, r.Path)
	}
	if r.Access.Action == "" {
		r.Access.Action = actionOf[r.Sort]
	}
	a.internal = ""
	i := len(a.routes) // what it is like may yet be said, see Access
	methods := []string{r.Method}
	if r.Method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	if err := a.router.Path(r.Path).Methods(methods...).Handler(a.handler(func() *Route { return &a.routes[i] }, h)).GetError(); err != nil {
		a.mistake("route %s %s: %w", r.Method, r.Path, err)
	}
	r.Section, r.problems = a.section, a.sectionProblems
	a.routes = append(a.routes, r)
	a.lastRoute().authenticated(a.config)
}

// handler is where the API meets net/http: a request is admitted, and an error becomes a problem.
func (a *API) handler(of func() *Route, h func(*exchange) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, route := exchangeOf(r), of()
		x.r, x.route = r, route.Path
		err := x.admit(route)
		if err == nil {
			err = h(x)
		}
		if err != nil {
			x.fail(err)
		}
	})
}

// unroutable answers what no route takes: 405 if another method would be taken,
// else 404.
func unroutable(x *exchange) error {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		r := x.r.WithContext(x.r.Context()) // a copy
		r.Method = method
		var match mux.RouteMatch
		if x.api.router.Match(r, &match) && match.MatchErr == nil {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return kindRouteNotFound.Problem("Nothing is served at " + x.r.URL.EscapedPath() + ".")
	}
	return methodNotAllowed(x, allowed)
}
