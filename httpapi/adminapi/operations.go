package adminapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
)

// operations registers the routes by which projections are rebuilt, rolled back,
// verified and repaired. A process that runs the projection does it.
func (r routes) operations(a *httpapi.API) {
	answer := httpapi.ActionOptions[projections.Operation]{
		Location: func(op projections.Operation) string { return "/v1/operations/" + op.ID.String() },
	}
	for _, kind := range []projections.Kind{projections.Rebuild, projections.Rollback, projections.Verify, projections.Repair} {
		httpapi.Action(a, http.MethodPost, "/v1/projections/{name}/"+string(kind), answer, r.request(kind))
	}
	httpapi.Read(a, "/v1/operations/{id}", httpapi.NoParams, r.operation)
	httpapi.Action(a, http.MethodDelete, "/v1/operations/{id}", httpapi.ActionOptions[projections.Operation]{}, r.cancel)
}

// request asks for an operation.
func (r routes) request(kind projections.Kind) func(context.Context, httpapi.ActionRequest[projections.Options]) (projections.Operation, error) {
	return func(ctx context.Context, in httpapi.ActionRequest[projections.Options]) (projections.Operation, error) {
		return r.admin.Request(ctx, projections.Request{Kind: kind, Projection: in.Path("name"), Options: in.Body, Actor: actor})
	}
}

func (r routes) operation(ctx context.Context, in httpapi.ReadRequest[struct{}]) (projections.Operation, error) {
	id, err := operationID(in.Path("id"))
	if err != nil {
		return projections.Operation{}, err
	}
	return r.admin.Operation(ctx, id)
}

func (r routes) cancel(ctx context.Context, in httpapi.ActionRequest[struct{}]) (projections.Operation, error) {
	id, err := operationID(in.Path("id"))
	if err != nil {
		return projections.Operation{}, err
	}
	return r.admin.Cancel(ctx, id)
}

// operationID reads the id of an operation. What is no id is that of none.
func operationID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, fmt.Errorf("operation %q: %w", text, projections.ErrOperationNotFound)
	}
	return id, nil
}
