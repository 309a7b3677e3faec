package shop_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// await follows an operation to its end.
func (s *server) await(location string) (op operations.Operation) {
	s.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		a := s.do("GET", location, "")
		if err := json.Unmarshal([]byte(a.body), &op); err != nil || a.status != 200 {
			s.Fatalf("GET %s = %d %s (%v)", location, a.status, a.body, err)
		}
		if op.State != operations.Running {
			return op
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("the operation does not end: %+v", op)
		}
	}
}

func TestProjectionsAreRebuiltOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	after := s.post("/v1/orders", orderJSON("1", "ann", "Norway", "NOK", "2026-01-02T03:04:05Z", lineJSON("TEA", 2, 450)))
	var before, now any
	s.get("/v1/orders/1", &before, after)
	for _, kind := range []string{"rebuild", "verify", "rollback", "repair"} {
		body := `{"workers":2}`
		if kind == "repair" {
			body = `{"key":"1"}`
		}
		a := s.do("POST", "/v1/projections/orders/"+kind, body)
		location := a.header.Get("Location")
		if a.status != 202 || !strings.HasPrefix(location, "/v1/operations/") {
			t.Fatalf("POST …/%s = %d %s, Location %q, want 202 and an operation", kind, a.status, a.body, location)
		}
		op := s.await(location)
		if op.State != operations.Done || string(op.Kind) != kind || op.Error != "" {
			t.Errorf("%s ended as %+v, want it done", kind, op)
		}
		var v projections.Verification
		if kind == "verify" {
			if err := json.Unmarshal(op.Result, &v); err != nil || !v.OK() || v.Rows != 1 {
				t.Errorf("the verification is %+v (%v), want one row and nothing wrong", v, err)
			}
		}
		if a := s.do("DELETE", location, ""); a.status != 200 || !strings.Contains(a.body, `"done"`) {
			t.Errorf("DELETE of what is done = %d %s, want 200 and no change", a.status, a.body)
		}
	}
	if s.get("/v1/orders/1", &now, after); !jsonEqual(before, now) {
		t.Errorf("the order was %v and is %v", before, now)
	}
}

func jsonEqual(a, b any) bool {
	left, errA := json.Marshal(a)
	right, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(left) == string(right)
}

func TestBadOperationsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/v1/projections/nothing/rebuild", ``, 404, "projection-not-found"},
		{"GET", "/v1/projections/nothing", ``, 404, "projection-not-found"},
		{"GET", "/v1/projections/%00", ``, 400, "invalid-path"},
		{"GET", "/v1/projections/%ff", ``, 400, "invalid-path"},
		{"POST", "/v1/projections/orders/rebuild", `{"workers":-1}`, 400, "invalid-operation"},
		{"POST", "/v1/projections/orders/rebuild", `{"keep":1000000}`, 400, "invalid-operation"},
		{"POST", "/v1/projections/orders/rebuild", `{"memory_bytes":1}`, 400, "invalid-operation"},
		{"POST", "/v1/projections/orders/rebuild", `{"fast":true}`, 400, "invalid-body"},
		{"POST", "/v1/projections/orders/rebuild?workers=2", ``, 400, "invalid-parameter"},
		{"POST", "/v1/projections/orders/repair", ``, 400, "invalid-operation"},
		{"POST", "/v1/projections/orders/skip", ``, 400, "invalid-body"},
		{"POST", "/v1/projections/orders/skip", `{"position":0,"reason":"x"}`, 400, "invalid-operation"},
		{"POST", "/v1/projections/orders/skip", `{"position":-1,"reason":"x"}`, 400, "invalid-operation"},
		{"POST", "/v1/projections/orders/skip", `{"position":"1","reason":"x"}`, 400, "invalid-body"},
		{"POST", "/v1/projections/orders/skip", `{"position":1,"reason":"x"}`, 409, "projection-not-failed"},
		{"POST", "/v1/projections/orders/pause", `{"because":"x"}`, 400, "invalid-body"},
		{"POST", "/v1/projections/orders/pause?now=1", ``, 400, "invalid-parameter"},
		{"POST", "/v1/projections/nothing/pause", ``, 404, "projection-not-found"},
		{"POST", "/v1/projections/nothing/resume", ``, 404, "projection-not-found"},
		{"POST", "/v1/projections/nothing/skip", `{"position":1,"reason":"x"}`, 404, "projection-not-found"},
		{"POST", "/v1/projections/orders/forget", ``, 404, "route-not-found"},
		{"GET", "/v1/operations/7", ``, 404, "operation-not-found"},
		{"DELETE", "/v1/operations/7b0f7f6e-6cf5-4d5f-a7c1-2c8b6f0e3f11", ``, 404, "operation-not-found"},
	} {
		s.do(c.method, c.path, c.body).wantProblem(t, c.status, c.code)
	}
	for option, body := range map[string]string{"workers": `{"workers":-1}`, "memory_bytes": `{"memory_bytes":1}`, "keep": `{"keep":-1}`} {
		p := s.do("POST", "/v1/projections/orders/rebuild", body).wantProblem(t, 400, "invalid-operation")
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/"+option {
			t.Errorf("%s blames %+v, want /%s", body, p.Errors, option)
		}
	}
}
