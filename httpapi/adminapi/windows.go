package adminapi

import (
	"context"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi"
)

// windows registers the routes that show what subscriptions count in windows.
func (r routes) windows(a *httpapi.API) {
	httpapi.Read(a, "/v1/windows", httpapi.NoParams, r.listWindows)
	httpapi.Read(a, "/v1/windows/{name}", windowQueryOf, r.showWindows)
}

func windowQueryOf(p *httpapi.Params) delivery.WindowQuery {
	q := delivery.WindowQuery{Key: p.Text("key"), Limit: p.Limit(100, 1000), Cursor: p.Cursor("after")}
	q.Closed = p.OneOf("state", "open", "all") == "all"
	return q
}

func (r routes) listWindows(ctx context.Context, _ httpapi.ReadRequest[struct{}]) (page httpapi.Page[delivery.Windows], err error) {
	page.Items, err = r.subscriptions.Windows(ctx)
	return page, err
}

func (r routes) showWindows(ctx context.Context, in httpapi.ReadRequest[delivery.WindowQuery]) (page httpapi.Page[delivery.OneWindow], err error) {
	all, next, err := r.subscriptions.WindowsOf(ctx, in.Path("name"), in.Params)
	return httpapi.Page[delivery.OneWindow]{Items: all, Next: httpapi.Cursor(next)}, err
}
