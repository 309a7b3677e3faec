package app_test

import (
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
)

// TestWhatAggregatesDecideTakesCommandsOnly: neither their streams take events, nor other streams theirs, unless the App says that they take
// those that they can read.
func TestWhatAggregatesDecideTakesCommandsOnly(t *testing.T) {
	t.Parallel()
	wallet := app.App{Name: "wallet", Modules: []app.Module{purses()}}
	x := apptest.New(t, wallet)
	want := func(status int, text, stream, event string) {
		t.Helper()
		for path, body := range map[string]string{
			"/v1/streams/" + stream: event,
			"/v1/append?dry_run=1":  `{"appends":[{"stream":"` + stream + `","events":[` + event + `]}]}`,
		} {
			if w := x.Request("POST", path, body); w.Code != status || !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s to %s = %d %s, want %d with %s", body, path, w.Code, w.Body, status, text)
			}
		}
	}
	const filled = `{"type":"PurseFilled","data":{"amount":1}}`
	want(403, `"stream-of-aggregate"`, "purse-ann", filled)
	want(403, `"stream-of-aggregate"`, "purse-ann", `{"type":"Read"}`)
	want(403, `"stream-of-aggregate"`, "saga-x", `{"type":"Read"}`)
	want(403, `"stream-of-aggregate"`, "meter-1", filled)
	want(403, `"stream-of-aggregate"`, "meter-1", `{"type":"PurseFilled","schema_version":99,"data":{"x":1}}`)
	want(200, "", "meter-1", `{"type":"Read"}`)

	wallet.RawAppends = []string{"purse"}
	x = apptest.New(t, wallet)
	want(200, "", "purse-ann", filled)
	want(400, `/type"`, "purse-ann", `{"type":"Read"}`)
	want(400, `/data"`, "purse-ann", `{"type":"PurseFilled","schema_version":99,"data":{"amount":1}}`)
	want(400, `/data"`, "purse-ann", `{"type":"PurseFilled","data":"much"}`)
	want(403, `"stream-of-aggregate"`, "meter-1", filled)

	wallet.RawAppends = []string{"meter"}
	if err := wallet.Check(); err == nil || !strings.Contains(err.Error(), `RawAppends has "meter"`) {
		t.Errorf("Check = %v, want the category that is of no aggregate", err)
	}
	wallet.RawAppends, wallet.OwnRoutesOnly = nil, true
	x = apptest.New(t, wallet)
	want(404, "", "meter-1", `{"type":"Read"}`)
}
