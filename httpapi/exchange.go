package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// exchange is one request on its way through the API, and the answer to it.
type exchange struct {
	api       *API
	w         *recorder
	r         *http.Request
	begun     time.Time
	route     string // path template; empty if no route matched
	requestID string
	traceID   string
	// caller is who sends it, and actor their name; "" if nobody says so.
	caller Caller
	actor  string
	// quiet says that nobody is told of what the caller may not do: it is not what was asked for.
	quiet bool
	// expected is the precondition of a command.
	expected eventstore.ExpectedVersion
	// within is the place of the command in the body: what pointers of its problems begin with.
	within string
	// err and stack are for the log.
	err   error
	stack []byte
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	return r.Context().Value(exchangeKey{}).(*exchange)
}

// ServeHTTP answers one request, logs it, and turns a panic into a problem.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		api:       a,
		w:         &recorder{ResponseWriter: w},
		begun:     time.Now(),
		requestID: requestID(r.Header),
		traceID:   traceID(r.Header),
	}
	x.r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	x.limitBodyTime()
	h := x.w.Header()
	h.Set("X-Request-Id", x.requestID)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	defer x.end()
	a.guarded.ServeHTTP(x.w, x.r)
}

// end logs the request. It is deferred, so it is also where a panic ends.
func (x *exchange) end() {
	cause := recover()
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	begunAnswer := x.w.status != 0
	if cause != nil {
		x.stack = debug.Stack()
		x.fail(fmt.Errorf("panic: %v", cause))
	}
	x.log()
	if observe := x.api.config.Observe; observe != nil {
		observe(Observation{Method: x.r.Method, Route: x.route, Status: x.w.status, Duration: time.Since(x.begun)})
	}
	if cause != nil && begunAnswer {
		// Half an answer is out: cutting it off is the only way to say so.
		panic(http.ErrAbortHandler)
	}
}

func (x *exchange) log() {
	level := zerolog.InfoLevel
	switch {
	case x.w.status == http.StatusServiceUnavailable:
		level = zerolog.WarnLevel
	case x.w.status >= 500:
		level = zerolog.ErrorLevel
	case x.route == "/livez" || x.route == "/readyz":
		level = zerolog.DebugLevel
	}
	e := x.api.config.Logger.WithLevel(level).
		Str("method", x.r.Method).
		Str("route", x.route).
		Str("path", sanitize(x.r.URL.EscapedPath())).
		Int("status", x.w.status).
		Dur("duration_ms", time.Since(x.begun)).
		Int64("bytes", x.w.bytes).
		Str("request_id", x.requestID)
	if x.traceID != "" {
		e.Str("trace_id", x.traceID)
	}
	if x.actor != "" {
		e.Str("actor", x.actor)
	}
	if x.err != nil {
		e.AnErr("error", x.err)
	}
	if x.stack != nil {
		e.Bytes("stack", x.stack)
	}
	e.Msg("request")
}

// fail answers with the problem that err is, unless an answer has begun.
func (x *exchange) fail(err error) {
	x.err = err
	if x.w.status != 0 {
		return
	}
	x.writeProblem(x.problem(err))
}

// writeProblem is the one way out for problems.
func (x *exchange) writeProblem(p *Problem) {
	if p.retryAfter > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	x.markReplay(p.replayed)
	x.write(p.Status, problemType, p.body())
}

// writeJSON answers with v as JSON. Text is not escaped for HTML: nosniff and
// the content type keep browsers from taking it for that.
func (x *exchange) writeJSON(status int, v any) error {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	x.write(status, jsonType, append(body, '\n'))
	return nil
}

// write answers. That the client does not take it cannot be helped.
func (x *exchange) write(status int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
}

func methodNotAllowed(x *exchange, allowed []string) error {
	list := strings.Join(allowed, ", ")
	x.w.Header().Set("Allow", list)
	return kindMethodNotAllowed.Problem(x.r.Method + " is not one of: " + list + ".")
}

// recorder remembers what was answered, for the log.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader is that of http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write is that of http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
