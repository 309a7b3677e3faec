package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/projections"
)

// operationsClient has operations done by a running server.
type operationsClient struct{ server string }

// refusedByServer is an answer of a server that is no success.
type refusedByServer struct {
	status int
	detail string
	hint   string
}

func (e *refusedByServer) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.status, e.detail)
}

// Hint says how to get on.
func (e *refusedByServer) Hint() string { return e.hint }

// run asks for an operation and follows it to its end. With an error it returns the operation as it
// was last seen.
func (c *operationsClient) run(ctx context.Context, r projections.Request, show func(projections.Operation)) (projections.Operation, error) {
	op, err := c.operation(ctx, http.MethodPost, "/v1/projections/"+url.PathEscape(r.Projection)+"/"+string(r.Kind), r.Options)
	if err != nil {
		return op, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for op.State == projections.OperationRunning {
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
	if op.State != projections.OperationDone {
		return op, &projections.OperationError{Operation: op}
	}
	return op, nil
}

func (c *operationsClient) cancel(ctx context.Context, id uuid.UUID) (projections.Operation, error) {
	return c.operation(ctx, http.MethodDelete, "/v1/operations/"+id.String(), nil)
}

// projections returns the status of all generations of all projections.
func (c *operationsClient) projections(ctx context.Context) ([]projections.Status, error) {
	var all list[projections.Status]
	err := c.call(ctx, http.MethodGet, "/v1/projections", nil, &all)
	return all.Items, err
}

// details returns all about a projection.
func (c *operationsClient) details(ctx context.Context, name string) (v projections.Details, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/projections/"+url.PathEscape(name), nil, &v)
	return v, err
}

func (c *operationsClient) operation(ctx context.Context, method, path string, body any) (op projections.Operation, err error) {
	err = c.call(ctx, method, path, body, &op)
	return op, err
}

// call sends a request and reads the answer.
func (c *operationsClient) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.server+path, sent)
	if err != nil {
		return &failure{exitUsage, fmt.Errorf("the server's address: %w", err), "it looks like http://" + defaultListen}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return &failure{exitUnavailable, fmt.Errorf("ask the server: %w", err),
			"is it running? recount dev starts one, --server URL names another, and --database postgres://user:password@host:5432/name works without"}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		var problem struct{ Title, Detail, Hint string }
		_ = json.Unmarshal(text, &problem) // an answer of something in between is no problem of ours
		said := cmp.Or(problem.Detail, problem.Title, http.StatusText(resp.StatusCode))
		return &refusedByServer{resp.StatusCode, cell(said, 500), problem.Hint}
	}
	return json.Unmarshal(text, answer)
}
