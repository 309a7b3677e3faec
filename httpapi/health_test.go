package httpapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/57528e99/recount/httpapi"
)

func TestVerboseReadinessHasDetails(t *testing.T) {
	t.Parallel()
	a := newAPI(t, httpapi.Config{})
	a.AddDetail("orders", func(context.Context) (any, error) { return 7, nil })
	a.AddDetail("gone", func(context.Context) (any, error) { return nil, errors.New("gone") })
	h := handlerOf(t, a)
	if got := text(t, do(h, "GET", "/readyz?verbose", "")); !strings.Contains(got, `"details":{"orders":7}`) {
		t.Errorf("GET /readyz?verbose = %s, want the one detail that there is", got)
	}
	if got := text(t, do(h, "GET", "/readyz", "")); strings.Contains(got, "orders") {
		t.Errorf("GET /readyz = %s, want the status only", got)
	}
}
