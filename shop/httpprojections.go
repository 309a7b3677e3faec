package shop

import (
	"context"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
)

// projections answers with how far every read model is, and what keeps it from
// getting on.
func (r reads) projections(ctx context.Context, _ httpapi.ReadRequest[struct{}]) (page httpapi.Page[projections.Status], err error) {
	page.Items, err = r.admin.List(ctx)
	return page, err
}

// projection answers with all about one of them, its last operations too.
func (r reads) projection(ctx context.Context, in httpapi.ReadRequest[struct{}]) (projections.Details, error) {
	return r.admin.Details(ctx, in.Path("name"))
}
