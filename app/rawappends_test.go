package app_test

import (
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
)

// TestStreamsOfAggregatesTakeCommandsOnly, unless the App says that they take any event; those of others take events.
func TestStreamsOfAggregatesTakeCommandsOnly(t *testing.T) {
	t.Parallel()
	const event = `{"type":"Noted","data":{"By":"nobody"}}`
	send := func(a app.App, stream string) (int, string) {
		w := apptest.New(t, a).Request("POST", "/v1/streams/"+stream, event)
		return w.Code, w.Body.String()
	}
	wallet := app.App{Name: "wallet", Modules: []app.Module{purses()}}
	if status, body := send(wallet, "purse-ann"); status != 403 || !strings.Contains(body, "stream-of-aggregate") {
		t.Errorf("an event to a purse = %d %s", status, body)
	}
	if status, body := send(wallet, "saga-x"); status != 403 {
		t.Errorf("an event to a saga = %d %s", status, body)
	}
	if status, body := send(wallet, "meter-1"); status != 200 {
		t.Errorf("an event to a stream of nobody = %d %s", status, body)
	}
	wallet.RawAppends = []string{"purse"}
	if status, body := send(wallet, "purse-ann"); status != 200 {
		t.Errorf("an event to a purse that takes any = %d %s", status, body)
	}
	wallet.RawAppends = []string{"meter"}
	if err := wallet.Check(); err == nil || !strings.Contains(err.Error(), `RawAppends has "meter"`) {
		t.Errorf("Check = %v, want the category that is of no aggregate", err)
	}
	wallet.RawAppends, wallet.OwnRoutesOnly = nil, true
	if status, _ := send(wallet, "meter-1"); status != 404 {
		t.Errorf("a route that is not to be there = %d", status)
	}
}
