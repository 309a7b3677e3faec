package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// projections registers the routes that show how the projections are, and those
// that steer them.
func (r routes) projections(a *httpapi.API) {
	httpapi.Read(a, "/v1/projections", httpapi.NoParams, r.listProjections)
	httpapi.Read(a, "/v1/projections/{name}", httpapi.NoParams, r.showProjection)
	var desired httpapi.ActionOptions[operations.Desired]
	httpapi.Action(a, http.MethodPost, "/v1/projections/{name}/pause", desired, r.pause)
	httpapi.Action(a, http.MethodPost, "/v1/projections/{name}/resume", desired, r.resume)
	httpapi.Action(a, http.MethodDelete, "/v1/projections/{name}", httpapi.ActionOptions[projections.Dropped]{}, r.drop)
	httpapi.Action(a, http.MethodDelete, "/v1/projections/{name}/versions/{version}", httpapi.ActionOptions[projections.Dropped]{}, r.dropVersion)
	httpapi.Action(a, http.MethodPost, "/v1/projections/{name}/skip", httpapi.ActionOptions[httpapi.Page[projections.Skip]]{}, r.skip)
}

// listProjections answers with how far every read model is, and what keeps it
// from getting on.
func (r routes) listProjections(ctx context.Context, _ httpapi.ReadRequest[struct{}]) (page httpapi.Page[projections.Status], err error) {
	page.Items, err = r.admin.List(ctx)
	return page, err
}

// showProjection answers with all about one of them, its last operations too.
func (r routes) showProjection(ctx context.Context, in httpapi.ReadRequest[struct{}]) (projections.Details, error) {
	return r.admin.Details(ctx, in.Path("name"))
}

// steerBody says why; it may be left out.
type steerBody struct {
	Reason string `json:"reason"`
}

func (r routes) pause(ctx context.Context, in httpapi.ActionRequest[steerBody]) (operations.Desired, error) {
	name := in.Path("name")
	return operations.Desired{Name: name, Paused: true}, r.admin.Pause(ctx, name, in.Body.Reason, actorOr(in.Actor))
}

func (r routes) resume(ctx context.Context, in httpapi.ActionRequest[steerBody]) (operations.Desired, error) {
	name := in.Path("name")
	return operations.Desired{Name: name}, r.admin.Resume(ctx, name, in.Body.Reason, actorOr(in.Actor))
}

// drop removes a projection that nobody runs.
func (r routes) drop(ctx context.Context, in httpapi.ActionRequest[steerBody]) (projections.Dropped, error) {
	return r.admin.Drop(ctx, in.Path("name"), 0, in.Body.Reason, actorOr(in.Actor))
}

// dropVersion removes the rows of one version. What is no version is one that there is not.
func (r routes) dropVersion(ctx context.Context, in httpapi.ActionRequest[steerBody]) (projections.Dropped, error) {
	version, err := strconv.ParseInt(in.Path("version"), 10, 32)
	if err != nil || version < 1 {
		return projections.Dropped{}, fmt.Errorf("version %q: %w", in.Path("version"), projections.ErrNotFound)
	}
	return r.admin.Drop(ctx, in.Path("name"), int(version), in.Body.Reason, actorOr(in.Actor))
}

// skipBody says which event to leave out, and why.
type skipBody struct {
	Position int64  `json:"position" http:"required"`
	Reason   string `json:"reason" http:"required"`
}

// skip wants the position of the event: without it a request that is repeated
// would leave out the next event that the projection stops on.
func (r routes) skip(ctx context.Context, in httpapi.ActionRequest[skipBody]) (page httpapi.Page[projections.Skip], err error) {
	name := in.Path("name")
	if in.Body.Position < 1 {
		return page, fmt.Errorf("skip an event of projection %q: %w", name, &operations.OptionError{Option: "position", Reason: "must be that of the event to skip"})
	}
	page.Items, err = r.admin.Skip(ctx, name, in.Body.Position, in.Body.Reason, actorOr(in.Actor))
	return page, err
}
