package shop_test

import (
	"flag"
	"os"
	"testing"

	"github.com/57528e99/recount/httpapi/openapi"
	"github.com/57528e99/recount/shop"
)

var update = flag.Bool("update", false, "write testdata/openapi.json instead of comparing with it")

// Clients go on working: a change that takes something from them needs a route, or a version of an event,
// beside the one that there is.
func TestTheAPIBreaksNoClient(t *testing.T) {
	t.Parallel()
	const golden = "testdata/openapi.json"
	a := shop.App()
	a.Version = "0" // not that of the build
	now := must[[]byte](t)(a.OpenAPI())
	if *update {
		if err := os.WriteFile(golden, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := must[[]byte](t)(os.ReadFile(golden))
	for _, line := range must[[]string](t)(openapi.Breaking(before, now)) {
		t.Errorf("%s: this breaks clients", line)
	}
	if string(before) != string(now) {
		t.Errorf("%s is not what the API is now: go test ./shop -run TestTheAPIBreaksNoClient -update writes it", golden)
	}
}
