package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	httpclient "github.com/57528e99/recount/httpapi/client"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// operationsClient has operations done by a running server. What it does as an operator it does as
// *projections.Admin does.
type operationsClient struct {
	server string
	// header goes with every request: it says who sends it.
	header http.Header
	// tokenFile has the token that goes with every request, if it is named; prog knows that of the environment.
	tokenFile string
	prog      *Program
	// orDatabase says that the command can do without a server.
	orDatabase bool
}

// flags gives a command the flags that say which server to ask, and as whom.
func (c *operationsClient) flags(prog *Program, flags *pflag.FlagSet, usage string) {
	c.prog = prog
	ServerFlag(flags, &c.server, usage)
	c.header = make(http.Header)
	flags.Var(headerFlag(c.header), "header", "header to send to the server, such as what says who asks; may be repeated")
	FromEnv(flags, "header")
	flags.StringVar(&c.tokenFile, "token-file", "", "file with the token to send to the server; or it is in $"+tokenVariable)
	FromEnv(flags, "token-file")
}

// ServerFlags gives a command the flags that say which server to ask, and as whom: those of the program's own commands. What it returns has the
// server's address and the headers for every request, once the flags are set; its error is that of a token that cannot be read.
func (prog *Program) ServerFlags(flags *pflag.FlagSet, usage string) func() (address string, header http.Header, err error) {
	var c operationsClient
	c.flags(prog, flags, usage)
	return func() (string, http.Header, error) {
		header, err := c.headers()
		return c.server, header, err
	}
}

// run asks for an operation and follows it to its end. With an error it returns the operation as it
// was last seen.
func (c *operationsClient) run(ctx context.Context, r operations.Request, show func(operations.Operation)) (operations.Operation, error) {
	op, err := c.operation(ctx, http.MethodPost, projectionPath(r.Subject)+"/"+string(r.Kind), r.Options)
	if err != nil {
		return op, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for op.State == operations.Running {
		show(op)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return op, context.Cause(ctx)
		}
		next, err := c.operation(ctx, http.MethodGet, "/v1/operations/"+op.ID.String(), nil)
		if err != nil {
			return op, err
		}
		op = next
	}
	show(op)
	if op.State != operations.Done {
		return op, &operations.EndedError{Operation: op}
	}
	return op, nil
}

// Cancel ends an operation and returns it.
func (c *operationsClient) Cancel(ctx context.Context, id uuid.UUID) (operations.Operation, error) {
	return c.operation(ctx, http.MethodDelete, "/v1/operations/"+id.String(), nil)
}

// List returns the status of all generations of all projections.
func (c *operationsClient) List(ctx context.Context) ([]projections.Status, error) {
	var all list[projections.Status]
	err := c.call(ctx, http.MethodGet, "/v1/projections", nil, &all)
	return all.Items, err
}

// Details returns all about a projection.
func (c *operationsClient) Details(ctx context.Context, name string) (v projections.Details, err error) {
	err = c.call(ctx, http.MethodGet, projectionPath(name), nil, &v)
	return v, err
}

// because is the body that says why; without a reason there is none, as servers of before take none.
func because(reason string) any {
	if reason == "" {
		return nil
	}
	return map[string]string{"reason": reason}
}

// Pause stops a projection until Resume. The actor, here and below, is who the server takes us for.
func (c *operationsClient) Pause(ctx context.Context, name, reason, _ string) error {
	return c.call(ctx, http.MethodPost, projectionPath(name)+"/pause", because(reason), new(operations.Desired))
}

// Resume lets a projection go on.
func (c *operationsClient) Resume(ctx context.Context, name, reason, _ string) error {
	return c.call(ctx, http.MethodPost, projectionPath(name)+"/resume", because(reason), new(operations.Desired))
}

// Drop removes a projection, or one version of it.
func (c *operationsClient) Drop(ctx context.Context, name string, version int, reason, _ string) (d projections.Dropped, err error) {
	path := projectionPath(name)
	if version != 0 {
		path += fmt.Sprintf("/versions/%d", version)
	}
	err = c.call(ctx, http.MethodDelete, path, because(reason), &d)
	return d, err
}

// Skip leaves the event out that a projection has stopped on. The server wants to know which one
// that is, so for position 0 it is looked up. The actor is who the server takes us for.
func (c *operationsClient) Skip(ctx context.Context, name string, position int64, reason, _ string) ([]projections.Skip, error) {
	positions := []int64{position}
	if position == 0 {
		v, err := c.Details(ctx, name)
		if err != nil {
			return nil, err
		}
		if positions = stoppedAt(v); len(positions) == 0 {
			return nil, fmt.Errorf("skip an event of projection %q: %w", name, projections.ErrNotFailed)
		}
	}
	var all []projections.Skip
	for _, at := range positions {
		var skipped list[projections.Skip]
		body := map[string]any{"position": at, "reason": reason}
		if err := c.call(ctx, http.MethodPost, projectionPath(name)+"/skip", body, &skipped); err != nil {
			return all, err
		}
		all = append(all, skipped.Items...)
	}
	return all, nil
}

func (c *operationsClient) operation(ctx context.Context, method, path string, body any) (op operations.Operation, err error) {
	err = c.call(ctx, method, path, body, &op)
	return op, err
}

// onServer asks servers. It follows no redirect: a request that writes would become a GET, and headers that say who
// asks would go to whom nobody named.
var onServer = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       30 * time.Second,
}

// headers are those that say who asks.
func (c *operationsClient) headers() (http.Header, error) {
	if c.header.Get("Authorization") != "" {
		return c.header, nil
	}
	token, err := c.prog.token(c.tokenFile)
	if err != nil || token == "" {
		return c.header, err
	}
	all := c.header.Clone()
	all.Set("Authorization", "Bearer "+token)
	return all, nil
}

// call sends a request and reads the answer.
func (c *operationsClient) call(ctx context.Context, method, path string, body, answer any) error {
	if _, err := url.Parse(c.server + path); err != nil {
		return &Failure{ExitUsage, fmt.Errorf("the server's address: %w", err), "it looks like http://" + defaultListen}
	}
	header, err := c.headers()
	if err != nil {
		return err
	}
	q := httpclient.Request{Method: method, URL: c.server + path, Header: header}
	if body != nil {
		if q.Body, err = json.Marshal(body); err != nil {
			return err
		}
	}
	a, err := httpclient.Do(ctx, onServer, q)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		advice := "is it running? {program} dev starts one, --server URL names another"
		if c.orDatabase {
			advice += ", and --database postgres://user:password@host:5432/name works without"
		}
		return &Failure{ExitUnavailable, fmt.Errorf("ask the server: %w", err), advice}
	case a.Status/100 == 3:
		return &refusedByServer{a.Status, "", "it sends us to " + Cell(cmp.Or(a.Header.Get("Location"), "nowhere"), 200),
			"nothing was done. If that is the server, name it with --server URL"}
	case a.Status/100 != 2:
		var problem struct{ Code, Title, Detail, Hint string }
		_ = json.Unmarshal(a.Body, &problem) // an answer of something in between is no problem of ours
		if a.Status == http.StatusUnauthorized {
			problem.Hint = strings.TrimSpace(problem.Hint + " --header NAME=VALUE sends what says who asks, --token-file FILE a token.")
		}
		said := cmp.Or(problem.Detail, problem.Title, http.StatusText(a.Status))
		return &refusedByServer{a.Status, problem.Code, Cell(said, 500), problem.Hint}
	}
	return json.Unmarshal(a.Body, answer)
}

// stoppedAt returns the positions of the events that the generations of a projection have stopped
// on.
func stoppedAt(v projections.Details) []int64 {
	var positions []int64
	for _, g := range v.Generations {
		if f := g.Failure; f != nil && f.Position != 0 && !slices.Contains(positions, f.Position) {
			positions = append(positions, f.Position)
		}
	}
	return positions
}

func projectionPath(name string) string { return "/v1/projections/" + url.PathEscape(name) }

// refusedByServer is an answer of a server that is no success.
type refusedByServer struct {
	status int
	code   string // of the problem; may be empty
	detail string
	hint   string
}

func (e *refusedByServer) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.status, e.detail)
}

// HTTPStatus is the status.
func (e *refusedByServer) HTTPStatus() int { return e.status }

// Is matches the error that the server met.
func (e *refusedByServer) Is(target error) bool {
	return slices.ContainsFunc(adminapi.Problems(""), func(p httpapi.DomainProblem) bool { return p.Kind.Code == e.code && p.Err == target })
}

// Hint says how to get on.
func (e *refusedByServer) Hint() string { return e.hint }
