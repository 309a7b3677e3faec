package adminapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// operations registers the routes by which projections are rebuilt, rolled back,
// verified and repaired. A process that runs the projection does it.
func (r routes) operations(a *httpapi.API) {
	answer := httpapi.ActionOptions[operations.Operation]{
		Location: func(op operations.Operation) string { return "/v1/operations/" + op.ID.String() },
	}
	for _, kind := range []operations.Kind{projections.Rebuild, projections.Rollback, projections.Verify, projections.Repair} {
		httpapi.Action(a, http.MethodPost, "/v1/projections/{name}/"+string(kind), answer, r.request(kind))
	}
	httpapi.Read(a, "/v1/operations/{id}", httpapi.NoParams, r.operation)
	httpapi.Action(a, http.MethodDelete, "/v1/operations/{id}", httpapi.ActionOptions[operations.Operation]{}, r.cancel)
}

// request asks for an operation.
func (r routes) request(kind operations.Kind) func(context.Context, httpapi.ActionRequest[operations.Options]) (operations.Operation, error) {
	return func(ctx context.Context, in httpapi.ActionRequest[operations.Options]) (operations.Operation, error) {
		return r.admin.Request(ctx, operations.Request{Kind: kind, Subject: in.Path("name"), Options: in.Body, Actor: actorOr(in.Actor)})
	}
}

func (r routes) operation(ctx context.Context, in httpapi.ReadRequest[struct{}]) (operations.Operation, error) {
	id, err := operationID(in.Path("id"))
	if err != nil {
		return operations.Operation{}, err
	}
	return r.admin.Operation(ctx, id)
}

func (r routes) cancel(ctx context.Context, in httpapi.ActionRequest[struct{}]) (operations.Operation, error) {
	id, err := operationID(in.Path("id"))
	if err != nil {
		return operations.Operation{}, err
	}
	return r.admin.Cancel(ctx, id)
}

// operationID reads the id of an operation. What is no id is that of none.
func operationID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, fmt.Errorf("operation %q: %w", text, operations.ErrNotFound)
	}
	return id, nil
}
