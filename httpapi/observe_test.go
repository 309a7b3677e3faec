package httpapi_test

import (
	"testing"

	"github.com/57528e99/recount/httpapi"
)

func TestRequestsAreObserved(t *testing.T) {
	t.Parallel()
	var seen []httpapi.Observation
	h := handlerOf(t, newAPI(t, httpapi.Config{Observe: func(o httpapi.Observation) {
		if o.Duration <= 0 {
			t.Errorf("%+v has no duration", o)
		}
		o.Duration = 0
		seen = append(seen, o)
	}}))
	do(h, "GET", "/problems/internal", "")
	do(h, "GET", "/nothing", "")
	do(h, "BREW", "/livez", "")
	want := []httpapi.Observation{
		{Method: "GET", Route: "/problems/{code}", Status: 200},
		{Method: "GET", Status: 404},
		{Method: "BREW", Status: 405},
	}
	if len(seen) != len(want) {
		t.Fatalf("%d requests were observed, want %d", len(seen), len(want))
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("request %d = %+v, want %+v", i, seen[i], want[i])
		}
	}
}
