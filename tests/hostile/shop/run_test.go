package shop

import (
	"strings"
	"testing"

	"github.com/57528e99/recount/tests/hostile/wire"
)

func TestARouteThatIsSparedIsNamed(t *testing.T) {
	t.Parallel()
	r := &run{choices: []generator{{route: "GET /v1/orders"}, {route: "GET /v1/sales"}},
		Attack: &wire.Attack{Attacked: map[string]int{"GET /v1/orders": 1}}}
	if err := r.spared(); err == nil || !strings.Contains(err.Error(), "GET /v1/sales") || strings.Contains(err.Error(), "orders") {
		t.Errorf("the error is %v, want one that names GET /v1/sales alone", err)
	}
	r.Attacked["GET /v1/sales"] = 1
	if err := r.spared(); err != nil {
		t.Errorf("the error is %v, want none", err)
	}
}
