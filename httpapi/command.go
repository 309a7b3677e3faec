package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
)

// maxScopeBytes bounds the scope of a receipt, which is method and path
// template.
const maxScopeBytes = 255

// CommandOptions are the choices of one command route. All may be left out.
type CommandOptions struct {
	// Location makes the answer 201 Created with this path in Location. It is
	// told the outcome, since on a replay that is the one of the first request.
	// Default: 200 without Location.
	Location func(commands.Result) string
	// OptionalBody takes a request without a body for one with {}.
	OptionalBody bool
}

// CommandRequest is a command as a handler gets it.
type CommandRequest[Body any] struct {
	// Body is the decoded body.
	Body Body
	// Now is when the request came, as eventstore.Microseconds.
	Now time.Time
	// Options carry idempotency key, precondition, correlation and trace to
	// commands.Handler. The handler may set At and Actor.
	Options commands.Options

	vars pathVars
}

// Path returns a variable part of the path, decoded: 1 to 512 bytes of UTF-8
// without control characters.
func (r CommandRequest[Body]) Path(name string) string { return r.vars[name] }

// Command registers a route that runs a command. Path is a template such as
// /v1/orders/{id}/confirm. Body is a struct; see Validator.
//
// The handler must pass Options to commands.Handler.Handle and return its
// result and error. Once begun it runs to its end even if the client hangs up,
// for at most Config.Timeout.
//
// The answer is {"stream","version","position"} with ETag and
// Consistency-Token. With an Idempotency-Key the first answer of the domain,
// be it a success or a refusal, is repeated byte for byte. Position is 0 if
// there was nothing to do.
func Command[Body any](a *API, method, path string, o CommandOptions, handle func(context.Context, CommandRequest[Body]) (commands.Result, error)) {
	scope := method + " " + path
	if len(scope) > maxScopeBytes {
		a.mistake("route %s: must have at most %d bytes", scope, maxScopeBytes)
	}
	c := &commandRoute{scope: scope, options: o}
	a.handle(method, path, func(x *exchange) error {
		var in CommandRequest[Body]
		run, err := c.prepare(x, &in.Body)
		if err != nil {
			return err
		}
		in.Now, in.Options, in.vars = eventstore.Microseconds(a.config.Now()), run.options, run.vars
		return c.run(x, run, func(ctx context.Context) (commands.Result, error) { return handle(ctx, in) })
	})
	a.lastRoute().Body = membersOf(reflect.TypeFor[Body]())
}

// commandRoute is what Command does for every type of body.
type commandRoute struct {
	scope   string
	options CommandOptions
}

// preparedCommand is a command that was read and checked, but not begun.
type preparedCommand struct {
	vars    pathVars
	options commands.Options
}

func (c *commandRoute) prepare(x *exchange, body any) (preparedCommand, error) {
	var p preparedCommand
	// The body comes first: while it is unread the client may not listen.
	text, err := x.readBody()
	if err != nil {
		return p, err
	}
	if p.vars, err = x.pathVars(); err != nil {
		return p, err
	}
	if err := newParams(x.r.URL.RawQuery).err(); err != nil {
		return p, err
	}
	if len(text) > 0 || !c.options.OptionalBody {
		if err := decode(text, body); err != nil {
			return p, err
		}
	}
	p.options, err = c.commandOptions(x, p.vars, text)
	return p, err
}

func (c *commandRoute) commandOptions(x *exchange, vars pathVars, body []byte) (o commands.Options, err error) {
	if o.Expected, err = x.precondition(); err != nil {
		return o, err
	}
	x.expected = o.Expected
	if o.CorrelationID, err = x.correlationID(); err != nil {
		return o, err
	}
	o.CausationID = x.requestID
	o.TraceParent, o.TraceState = x.trace()
	key, err := x.idempotencyKey()
	if err != nil || key == "" {
		return o, err
	}
	text, err := canonical(body)
	if err != nil {
		return o, err
	}
	o.Receipt = &commands.ReceiptRequest{
		Scope:       c.scope,
		Key:         key,
		Fingerprint: fingerprint(c.scope, vars.list(), text),
		Answer:      func(refusal error) commands.Answer { return c.answer(x, refusal) },
	}
	return o, nil
}

func (c *commandRoute) run(x *exchange, p preparedCommand, handle func(context.Context) (commands.Result, error)) error {
	if receipt := p.options.Receipt; receipt != nil {
		key := scopedKey{receipt.Scope, receipt.Key}
		if !x.api.running.begin(key) {
			return kindIdempotencyInProgress.Problem("The request that came first with this Idempotency-Key is still running.").withRetryAfter(1)
		}
		defer x.api.running.end(key)
	}
	// What was begun is finished though its client hangs up: the client cannot
	// know how far it came, and a retry then finds an answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), x.api.config.Timeout)
	defer cancel()

	result, err := handle(ctx)
	if err == nil {
		return c.accept(x, result)
	}
	var rejected *commands.RejectedError
	if errors.As(err, &rejected) && rejected.Answer.Code != 0 {
		x.refuse(rejected)
		return nil
	}
	return err
}

// accept answers a command that was accepted, now or before.
func (c *commandRoute) accept(x *exchange, r commands.Result) error {
	status := c.successStatus()
	if r.Answer.Code != 0 {
		status = r.Answer.Code
	}
	h := x.w.Header()
	if c.options.Location != nil {
		h.Set("Location", c.options.Location(r))
	}
	if r.Version >= 0 {
		h.Set("ETag", versionTag(r.Version))
	}
	if token := r.Token.String(); token != "" {
		h.Set("Consistency-Token", token)
	}
	x.markReplay(r.Replayed)
	return x.writeJSON(status, struct {
		Stream   string `json:"stream"`
		Version  int64  `json:"version"`
		Position int64  `json:"position"`
	}{r.Stream, r.Version, r.Position})
}

// refuse answers a command that was refused, now or before, with the problem
// that was stored for it.
func (x *exchange) refuse(r *commands.RejectedError) {
	x.err = r
	x.markReplay(r.Replayed)
	x.writeProblem(&Problem{Status: r.Answer.Code, rendered: r.Answer.Body})
}

// answer returns what the receipt is to keep. A refusal is kept whole: its request id stays that of the
// first request. What a success says beside its status is in the outcome that the receipt keeps anyway.
func (c *commandRoute) answer(x *exchange, refusal error) commands.Answer {
	if refusal == nil {
		return commands.Answer{Code: c.successStatus()}
	}
	p := x.problem(&commands.RejectedError{Err: refusal})
	a := commands.Answer{Code: p.Status, Body: p.body()}
	if len(a.Body) > commands.MaxAnswerBytes {
		p.Errors = nil // the only part that can be long
		a.Body = p.body()
	}
	return a
}

func (c *commandRoute) successStatus() int {
	if c.options.Location != nil {
		return http.StatusCreated
	}
	return http.StatusOK
}

func (x *exchange) markReplay(replayed bool) {
	if replayed {
		x.w.Header().Set("Idempotency-Replayed", "true")
		x.w.Header().Set("X-Idempotency-Replayed", "true")
	}
}
