package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
)

// CommandOptions are the choices of one command. All may be left out.
type CommandOptions struct {
	// Name says which command it is, e.g. order.confirm: an idempotency key is one actor's for one
	// command on one id, whichever route it comes by. A command with a name is served by those of
	// Commands too; its path has one variable at most, the id. Default: method and path.
	Name string
	// IDMember is the member of the body, a string, that has the id of what the command is about, where
	// that is not in the path. It is part of what an idempotency key is for, as one in the path is, and
	// POST /v1/commands takes it as the id. Where a client leaves it out, a UUID is made. Default: the
	// body has none.
	IDMember string
	// Category is that of the stream that the command is about: a path with one variable has the id of that stream in it. It says
	// whose scope has the command. Default: it is about streams of any category.
	Category string
	// Internal keeps a command with a name from HTTP: it has no route of its own, those of Commands
	// do not know it, and API.Run runs it. Default: it is served.
	Internal bool
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
	// ID is that in CommandOptions.IDMember, or the one that was made in its place.
	ID string
	// Now is when the request came, as eventstore.Microseconds.
	Now time.Time
	// Header has the headers of the request.
	Header http.Header
	// Options carry to package commands who sends it, idempotency key, precondition, correlation,
	// trace, and whether it is a dry run. The handler may set At.
	Options commands.Options
	// Caller is who sends it.
	Caller Caller

	vars pathVars
}

// Path returns a variable part of the path, decoded: 1 to 512 bytes of UTF-8
// without control characters.
func (r CommandRequest[Body]) Path(name string) string { return r.vars[name] }

// Command registers a command and a route that runs it. Path is a template such as
// /v1/orders/{id}/confirm. Body is a struct; see Validator.
//
// The handler must pass Options to Handle of a commands.Handler or commands.Units, or to a commands.Appender, and return its
// result and error. Once begun it runs to its end even if the client hangs up,
// for at most Config.Timeout.
//
// The answer is {"stream","version","position"}, and "streams" of a unit over several, with ETag
// and Consistency-Token. It has "id" where there is an IDMember. With an Idempotency-Key the first answer of the domain, be it a success or
// a refusal, is repeated byte for byte. Position is 0 if there was nothing to do. With ?dry_run=1
// nothing is written and the answer is {"events"}, those that would be.
func Command[Body any](a *API, method, path string, o CommandOptions, handle func(context.Context, CommandRequest[Body]) (commands.Result, error)) {
	c := &command{Name: o.Name, Method: method, Path: path, Body: membersOf(reflect.TypeFor[Body]()), options: o}
	c.body = reflect.TypeFor[Body]()
	c.read = func(call *commandCall) (runCommand, error) {
		in := CommandRequest[Body]{vars: call.vars, Header: call.header, Caller: call.caller}
		if len(call.text) > 0 || !o.OptionalBody {
			if err := decode(call.text, &in.Body); err != nil {
				return nil, err
			}
		}
		if c.idField != nil {
			call.identify(reflect.ValueOf(in.Body), c.idField)
			in.ID = cmp.Or(call.id, call.newID)
		}
		return func(ctx context.Context, o commands.Options) (commands.Result, error) {
			in.Now, in.Options = eventstore.Microseconds(a.config.Now()), o
			return handle(ctx, in)
		}, nil
	}
	a.addCommand(c)
}

// command is a command that was registered, whatever the type of its body. All ways to it lead
// here.
type command struct {
	Name   string   `json:"name"`
	Method string   `json:"method"`
	Path   string   `json:"path"`
	Body   []member `json:"body,omitzero"`

	body    reflect.Type
	options CommandOptions
	// variables are the names of those in the path, route what the path takes for them.
	variables []string
	route     *mux.Route
	// idField is where in the body IDMember is; nil if there is none.
	idField []int
	read    func(*commandCall) (runCommand, error)
	// of is which of API.routes is its own; what that permits to whom may yet be said, see API.Access.
	of int
}

// commandCall is what a command is called with.
type commandCall struct {
	vars   pathVars
	header http.Header
	caller Caller
	// id is the one that POST /v1/commands was given, or that is in the body; newID is made where the
	// body could have one and has not.
	id, newID string
	// text is the body.
	text []byte
	// key is the idempotency key, "" if there is none.
	key     string
	options commands.Options
}

// identify takes the id from a body, or makes one.
func (call *commandCall) identify(body reflect.Value, field []int) {
	id, _ := body.FieldByIndexErr(field) // with an error it is in a part that was left out, and not valid
	isPointer := id.Kind() == reflect.Pointer
	if isPointer {
		id = id.Elem()
	}
	// A text that is empty counts as left out, unless a pointer tells that it was not.
	if id.IsValid() && (isPointer || id.String() != "") {
		call.id = id.String()
	} else {
		call.newID = uuid.Must(uuid.NewV7()).String()
	}
}

// runCommand runs a command whose body was read.
type runCommand func(context.Context, commands.Options) (commands.Result, error)

// dryRun is the parameter of commands that are not to be carried out.
const dryRun = "dry_run"

var ofDryRun = Parameter{Name: dryRun, Type: "boolean"}

var variablePattern = regexp.MustCompile(`{([^}:]*)`)

func (a *API) addCommand(c *command) {
	if c.route = mux.NewRouter().Path(c.Path); c.route.GetError() != nil {
		a.mistake("command %s %s: %w", c.Method, c.Path, c.route.GetError())
	}
	for _, m := range variablePattern.FindAllStringSubmatch(c.Path, -1) {
		c.variables = append(c.variables, m[1])
	}
	a.internal = ""
	if c.options.Internal {
		a.internal = cmp.Or(c.Name, c.Path)
	} else {
		c.of = len(a.routes)
		a.handle(Route{
			Method: c.Method, Path: c.Path, Sort: SortCommand, Access: accessOf(c.options.Category, c.variables), Command: c.Name, Parameters: []Parameter{ofDryRun},
			Body: c.body, OptionalBody: c.options.OptionalBody,
			Answers: []Answer{jsonAnswer[acknowledgement](c.successStatus()), jsonAnswer[planned](http.StatusOK)},
		}, c.serve)
	}
	if c.options.IDMember != "" {
		if c.idField = stringMember(c.body, c.options.IDMember); c.idField == nil || len(c.variables) > 0 {
			a.mistake("command %s %s: IDMember %q must be a string in the body, and the path must have no variable", c.Method, c.Path, c.options.IDMember)
		}
	}
	switch {
	case c.Name == "" && c.options.Internal:
		a.mistake("command %s %s: an internal one must have a Name", c.Method, c.Path)
	case c.Name == "":
		c.Name = c.Method + " " + c.Path
	case len(c.variables) > 1:
		a.mistake("command %s: its path %s must have one variable at most", c.Name, c.Path)
	case a.command(c.Name) != nil:
		a.mistake("command %s is registered twice", c.Name)
	default:
		a.commands = append(a.commands, c)
	}
}

// command returns the command of this name, or nil.
func (a *API) command(name string) *command {
	i := slices.IndexFunc(a.commands, func(c *command) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return a.commands[i]
}

// serve answers a request on the command's own route.
func (c *command) serve(x *exchange) error {
	call := commandCall{header: x.r.Header, caller: x.caller}
	call.options.Actor = x.actor
	var err error
	// The body comes first: while it is unread the client may not listen.
	if call.text, err = x.readBody(); err != nil {
		return err
	}
	if call.vars, err = x.pathVars(); err != nil {
		return err
	}
	params := newParams(x.r.URL.RawQuery)
	call.options.DryRun = params.Flag(dryRun)
	if err := params.err(); err != nil {
		return err
	}
	run, err := c.read(&call)
	if err != nil {
		return err
	}
	if call.options.Expected, err = x.precondition(); err != nil {
		return err
	}
	if err := x.trace(&call.options); err != nil {
		return err
	}
	if call.key, err = x.idempotencyKey(); err != nil {
		return err
	}
	ctx, cancel := x.untilTimeout()
	defer cancel()
	result, err := c.run(ctx, x, call, run)
	if err != nil {
		return err
	}
	var id string
	if c.idField != nil {
		id = c.idOf(call, result)
	}
	return c.writeResult(x, call, result, id)
}

// untilTimeout returns the context of commands. What was begun is finished though its client hangs
// up: the client cannot know how far it came, and a retry then finds an answer.
func (x *exchange) untilTimeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(x.r.Context()), x.api.config.Timeout)
}

// run runs a command, once if it has a key.
func (c *command) run(ctx context.Context, x *exchange, call commandCall, run runCommand) (commands.Result, error) {
	x.expected = call.options.Expected
	if call.key != "" && !call.options.DryRun {
		receipt, err := c.receipt(x, call)
		if err != nil {
			return commands.Result{}, err
		}
		key := scopedKey{receipt.Scope, receipt.Key}
		if !x.api.running.begin(key) {
			return commands.Result{}, kindIdempotencyInProgress.Problem("The request that came first with this idempotency key is still running.").withRetryAfter(1)
		}
		defer x.api.running.end(key)
		call.options.Receipt = receipt
	}
	return run(ctx, call.options)
}

// receipt returns what makes the call idempotent, by whichever way it comes.
func (c *command) receipt(x *exchange, call commandCall) (*commands.ReceiptRequest, error) {
	text, err := canonical(call.text)
	if err != nil {
		return nil, err
	}
	id := call.vars.list()
	if c.idField != nil && call.id != "" {
		id = append(id, call.id)
	}
	return &commands.ReceiptRequest{
		Scope:       scopeOf(append([]string{call.options.Actor, c.Name}, id...)),
		Key:         call.key,
		Fingerprint: fingerprint(c.Name, id, text),
		Answer:      func(refusal error) commands.Answer { return c.answer(x, call, refusal) },
	}, nil
}

// acknowledgement is the answer to a command that was accepted.
type acknowledgement struct {
	Stream   string      `json:"stream"`
	Version  int64       `json:"version"`
	Position int64       `json:"position"`
	Streams  []streamAck `json:"streams,omitzero"`
	ID       string      `json:"id,omitzero"`
	// Deduplicated says that the events were there before, by their ids or a dedup_key.
	Deduplicated bool `json:"deduplicated,omitzero"`
}

// streamAck is a stream of a unit. Its position is 0 if nothing was written to it.
type streamAck struct {
	Stream   string `json:"stream"`
	Version  int64  `json:"version"`
	Position int64  `json:"position"`
}

// answerTo returns status and body of the answer to a command that was accepted, now or before. Id
// is in it if it is not "".
func (c *command) answerTo(call commandCall, r commands.Result, id string) (status int, body any) {
	if call.options.DryRun {
		p := planned{Events: []plannedEvent{}}
		for _, a := range r.Planned {
			for _, e := range a.Events {
				p.Events = append(p.Events, planOf(a.Stream, e))
			}
		}
		return http.StatusOK, p
	}
	status = c.successStatus()
	if r.Answer.Code != 0 {
		status = r.Answer.Code
	}
	ack := acknowledgement{Stream: r.Stream, Version: r.Version, Position: r.Position, ID: id, Deduplicated: r.Duplicate}
	if len(r.Streams) > 1 {
		for _, s := range r.Streams {
			ack.Streams = append(ack.Streams, streamAck{s.Stream, s.Version, s.Position})
		}
	}
	return status, ack
}

// writeResult answers a command that was accepted, now or before.
func (c *command) writeResult(x *exchange, call commandCall, r commands.Result, id string) error {
	status, body := c.answerTo(call, r, id)
	if !call.options.DryRun {
		h := x.w.Header()
		if c.options.Location != nil {
			h.Set("Location", c.options.Location(r))
		}
		if r.Version >= 0 {
			h.Set("ETag", versionTag(r.Version))
		}
		x.writeToken(r.Token)
		x.markReplay(r.Replayed)
	}
	return x.writeJSON(status, body)
}

func (x *exchange) writeToken(t eventstore.Token) {
	if token := t.String(); token != "" {
		x.w.Header().Set("Consistency-Token", token)
	}
}

// answer returns what the receipt is to keep. A refusal is kept whole: its request id stays that of
// the first request. What a success says beside its status and an id that was made is in the outcome
// that the receipt keeps anyway.
func (c *command) answer(x *exchange, call commandCall, refusal error) commands.Answer {
	if refusal == nil {
		return commands.Answer{Code: c.successStatus(), Body: []byte(call.newID)}
	}
	p := x.problem(&commands.RejectedError{Err: refusal})
	a := commands.Answer{Code: p.Status, Body: p.body()}
	if len(a.Body) > commands.MaxAnswerBytes {
		p.Errors = nil // the only part that can be long
		a.Body = p.body()
	}
	return a
}

func (c *command) successStatus() int {
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
