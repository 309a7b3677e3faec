package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/security"
)

const (
	commandsPath = "/v1/commands"
	// maxBatch is how many commands a batch may have.
	maxBatch = 100
)

// Commands adds the routes that all commands with a name share. GET /v1/commands lists them.
// POST /v1/commands runs one as its own route does,
//
//	{"type":"order.cancel","id":"17","data":{"reason":"…"},"expected_version":3,"key":"…"}
//
// and answers the same with "id" in it. The id is the variable of the command's path, and matches its
// pattern; where there is none, it is the IDMember of its body. Expected_version is -1 for what is not there yet. The key may
// come as Idempotency-Key.
//
// {"commands":[…]} has up to 100 of them, each judged by itself, one after the other, for at most
// Config.Timeout together. The answer is {"items":[…]}, with status and result, or problem, of
// each.
func Commands(a *API) {
	a.handle(Route{Method: http.MethodGet, Path: commandsPath, Access: Access{Action: security.Command, Filtered: true}, Answers: []Answer{jsonAnswer[commandList](http.StatusOK)}}, a.listCommands)
	a.handle(Route{
		Method: http.MethodPost, Path: commandsPath, Sort: SortCommand, AnyCommand: true, Access: Access{Filtered: true},
		Parameters: []Parameter{ofDryRun}, Body: reflect.TypeFor[commandsBody](),
		Answers: []Answer{
			jsonAnswer[acknowledgement](http.StatusOK), jsonAnswer[acknowledgement](http.StatusCreated),
			jsonAnswer[planned](http.StatusOK), jsonAnswer[batch](http.StatusOK),
		},
	}, a.serveCommands)
}

// Run runs a command with a name, also an internal one, as POST /v1/commands does, for this program
// itself. Of o.Receipt only the Key counts. The error is that of the handler, or a *Problem for
// what is no such command.
func (a *API) Run(ctx context.Context, name, id string, data []byte, o commands.Options) (commands.Result, error) {
	c := a.command(name)
	if c == nil {
		return commands.Result{}, unknownCommand(a.commands)
	}
	body := commandBody{ID: id, Data: data}
	if o.Receipt != nil {
		body.Key = o.Receipt.Key
	}
	call, err := c.call(body)
	if err != nil {
		return commands.Result{}, err
	}
	call.options, call.caller = o, Caller{Principal: security.Trusted(o.Actor)}
	run, err := c.read(&call)
	if err != nil {
		return commands.Result{}, err
	}
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: commandsPath}}
	return c.run(ctx, &exchange{api: a, r: r.WithContext(ctx), requestID: uuid.NewString()}, call, run)
}

// commandBody is a command as its type, whatever it is.
type commandBody struct {
	Type            string         `json:"type"`
	ID              string         `json:"id"`
	Data            jsontext.Value `json:"data"`
	ExpectedVersion *int64         `json:"expected_version"`
	Key             string         `json:"key"`
}

// commandsBody is one command, or a batch of them.
type commandsBody struct {
	commandBody
	Commands []commandBody `json:"commands"`
}

// check finds what makes no batch.
func (b commandsBody) check() error {
	switch n := len(b.Commands); {
	case b.Commands == nil:
		return nil
	case !reflect.ValueOf(b.commandBody).IsZero():
		return InvalidMember("/commands", "must stand alone; each of them has its own type, id, data and key")
	case n == 0 || n > maxBatch:
		return InvalidMember("/commands", fmt.Sprintf("must have 1 to %d commands, it has %d", maxBatch, n))
	}
	return nil
}

// served are the commands with a name that are not internal.
func (a *API) served() []*command {
	return slices.DeleteFunc(slices.Clone(a.commands), func(c *command) bool { return c.options.Internal })
}

// commandList is the answer of GET /v1/commands.
type commandList struct {
	Commands []*command `json:"commands"`
}

func (a *API) listCommands(x *exchange) error {
	if err := newParams(x.r.URL.RawQuery).err(); err != nil {
		return err
	}
	x.quiet = true // nobody is refused
	return x.writeJSON(http.StatusOK, commandList{slices.DeleteFunc(a.served(), func(c *command) bool {
		access := a.routes[c.of].Access
		resource := access.resource(nil)
		resource.Part = access.Stream != "" // which of them it may be for is to be seen
		return x.caller.May(access.Action, resource) != nil
	})})
}

func (a *API) serveCommands(x *exchange) error {
	text, err := x.readBody()
	if err != nil {
		return err
	}
	common := commands.Options{Actor: x.actor}
	params := newParams(x.r.URL.RawQuery)
	common.DryRun = params.Flag(dryRun)
	if err := params.err(); err != nil {
		return err
	}
	var body commandsBody
	if err := decode(text, &body); err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if x.r.Header.Get(name) != "" {
			return InvalidHeader(name, "must not be given here; a command has the member expected_version")
		}
	}
	if err := x.trace(&common); err != nil {
		return err
	}
	key, err := x.idempotencyKey()
	if err != nil {
		return err
	}
	ctx, cancel := x.untilTimeout()
	defer cancel()
	if body.Commands != nil {
		if key != "" {
			return InvalidHeader("Idempotency-Key", "must not be given with a batch; a command has the member key")
		}
		return a.serveBatch(ctx, x, body.Commands, common)
	}
	switch one := &body.commandBody; {
	case one.Key == "":
		one.Key = key
	case key != "" && key != one.Key:
		return InvalidMember("/key", "must not differ from the header Idempotency-Key")
	}
	c, call, result, err := a.runOne(ctx, x, body.commandBody, common)
	if err != nil {
		return err
	}
	return c.writeResult(x, call, result, c.idOf(call, result))
}

// runOne runs one command of the body. After an error x.within says what part of it the error is
// of.
func (a *API) runOne(ctx context.Context, x *exchange, body commandBody, common commands.Options) (*command, commandCall, commands.Result, error) {
	x.within = ""
	c := a.command(body.Type)
	if c == nil || c.options.Internal {
		return nil, commandCall{}, commands.Result{}, unknownCommand(a.served())
	}
	call, err := c.call(body)
	if err != nil {
		return nil, call, commands.Result{}, err
	}
	access := a.routes[c.of].Access
	if err := x.caller.May(access.Action, access.resource(call.vars)); err != nil {
		return nil, call, commands.Result{}, err
	}
	expected := call.options.Expected
	call.options, call.header, call.caller = common, x.r.Header, x.caller
	call.options.Expected = expected
	x.within = "/data"
	run, err := c.read(&call)
	if err != nil {
		return nil, call, commands.Result{}, err
	}
	result, err := c.run(ctx, x, call, run)
	return c, call, result, err
}

// idOf is the id that the command came with, or the one that was made for it, the first time if it
// was sent again.
func (c *command) idOf(call commandCall, r commands.Result) string {
	switch {
	case call.id != "":
		return call.id
	case c.options.Location != nil:
		return eventstore.StreamID(r.Stream)
	}
	return cmp.Or(string(r.Answer.Body), call.newID)
}

// batchItem is the answer to a command of a batch.
type batchItem struct {
	Status   int            `json:"status"`
	Result   any            `json:"result,omitzero"`
	Problem  jsontext.Value `json:"problem,omitzero"`
	Replayed bool           `json:"replayed,omitzero"`
}

// batch is the answer to a batch.
type batch struct {
	Items []batchItem `json:"items"`
}

func (a *API) serveBatch(ctx context.Context, x *exchange, list []commandBody, common commands.Options) error {
	var answer batch
	var last eventstore.Token
	for _, body := range list {
		c, call, result, err := a.runOne(ctx, x, body, common)
		if err != nil {
			p := x.problem(err)
			answer.Items = append(answer.Items, batchItem{Status: p.Status, Problem: bytes.TrimSpace(p.body()), Replayed: p.replayed})
			x.err = cmp.Or(x.err, err)
			continue
		}
		if result.Token.Position > last.Position {
			last = result.Token
		}
		status, text := c.answerTo(call, result, c.idOf(call, result))
		answer.Items = append(answer.Items, batchItem{Status: status, Result: text, Replayed: result.Replayed})
	}
	if !common.DryRun {
		x.writeToken(last)
	}
	return x.writeJSON(http.StatusOK, answer)
}

func unknownCommand(known []*command) *Problem {
	names := make([]string, len(known))
	for i, c := range known {
		names[i] = c.Name
	}
	return InvalidMember("/type", "is not a command here; "+knownAre(names))
}

// call returns the command's call that a body asks for.
func (c *command) call(body commandBody) (call commandCall, err error) {
	if body.Key != "" {
		if err := checkKey(body.Key); err != nil {
			return call, kindInvalidIdempotencyKey.Problem("/key "+err.Error()+".").withPointer("/key", err.Error())
		}
		call.key = body.Key
	}
	call.options.Expected = eventstore.Any
	if v := body.ExpectedVersion; v != nil {
		if *v < -1 {
			return call, InvalidMember("/expected_version", "must be a version, or -1 for what is not there yet")
		}
		call.options.Expected = eventstore.Exact(*v)
	}
	call.id, call.text = body.ID, body.Data
	if body.Data == nil {
		call.text = []byte("{}")
	}
	if len(c.variables) > 0 {
		if fault := invalidText(body.ID); fault != "" {
			return call, InvalidMember("/id", fault)
		}
		// The route of the command may have a pattern, which its handler counts on.
		if _, err := c.route.URLPath(c.variables[0], url.PathEscape(body.ID)); err != nil {
			return call, InvalidMember("/id", "must be as in the path "+c.Path)
		}
		call.vars = pathVars{c.variables[0]: body.ID}
		return call, nil
	}
	if body.ID != "" {
		call.text, err = c.withID(call.text, body.ID)
	}
	return call, err
}

// withID puts an id into a body that takes one.
func (c *command) withID(text []byte, id string) ([]byte, error) {
	if c.idField == nil {
		return nil, InvalidMember("/id", "must be left out: "+c.Name+" takes none")
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return text, nil // which is for decode to say
	}
	var given string
	if own := members[c.options.IDMember]; own != nil && (json.Unmarshal(own, &given) != nil || given != "" && given != id) {
		return nil, InvalidMember("/id", "must not differ from /data/"+c.options.IDMember)
	}
	value, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	members[c.options.IDMember] = value
	return json.Marshal(members)
}
