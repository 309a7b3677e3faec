package hostile

import (
	"strings"
	"testing"
)

func TestARouteThatIsSparedIsNamed(t *testing.T) {
	t.Parallel()
	r := &run{routes: []string{"GET /v1/orders", "GET /v1/sales"}, attacked: make(map[string]int)}
	r.attack("GET /v1/orders")
	if err := r.spared(); err == nil || !strings.Contains(err.Error(), "GET /v1/sales") || strings.Contains(err.Error(), "orders") {
		t.Errorf("the error is %v, want one that names GET /v1/sales alone", err)
	}
	r.attack("GET /v1/sales")
	if err := r.spared(); err != nil {
		t.Errorf("the error is %v, want none", err)
	}
}
