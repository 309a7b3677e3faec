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
