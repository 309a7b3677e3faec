package shop_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/projections"
)

func TestProjectionsArePausedAndResumedOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.get("/v1/orders/1", new(any), s.post("/v1/orders", small("1")))
	for range 2 { // whoever got no answer asks again
		if a := s.do("POST", "/v1/projections/orders/pause", ""); a.status != 200 || a.body != `{"name":"orders","paused":true}`+"\n" {
			t.Fatalf("%s = %d %s, want it paused", a.request, a.status, a.body)
		}
	}
	p := s.do("GET", "/v1/orders/2", "", s.post("/v1/orders", small("2"))).wantProblem(t, 503, "projection-stopped")
	if !strings.Contains(p.Detail, "paused") {
		t.Errorf("detail %q does not say that it is paused", p.Detail)
	}
	for range 2 {
		if a := s.do("POST", "/v1/projections/orders/resume", "{}"); a.status != 200 || a.body != `{"name":"orders","paused":false}`+"\n" {
			t.Fatalf("%s = %d %s, want it resumed", a.request, a.status, a.body)
		}
	}
	s.get("/v1/orders/2", new(any), s.head())
}

// TestAnEventIsSkippedOverHTTP once: the same request, sent again, skips no other event.
func TestAnEventIsSkippedOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.append("stock-MUG", "StockReceived", `"no stock"`)
	s.append("stock-MUG", "StockReceived", `"nor this"`)
	for position := int64(1); position <= 2; position++ {
		if failure := s.failureOf("stock_levels"); failure.Position != position {
			t.Fatalf("it has failed at %d, want %d", failure.Position, position)
		}
		const path = "/v1/projections/stock_levels/skip"
		s.do("POST", path, `{"reason":"a test"}`).wantProblem(t, 400, "invalid-body")
		s.do("POST", path, fmt.Sprintf(`{"position":%d,"reason":""}`, position)).wantProblem(t, 400, "invalid-operation")
		s.do("POST", path, `{"position":3,"reason":"a test"}`).wantProblem(t, 409, "projection-not-failed")
		body := fmt.Sprintf(`{"position":%d,"reason":"a test"}`, position)
		a := s.do("POST", path, body)
		var skipped struct{ Items []projections.Skip }
		if err := json.Unmarshal([]byte(a.body), &skipped); err != nil || a.status != 200 || len(skipped.Items) != 1 ||
			skipped.Items[0].Position != position || skipped.Items[0].Reason != "a test" || skipped.Items[0].Actor != "api" {
			t.Fatalf("%s = %d %s (%v), want the event skipped", a.request, a.status, a.body, err)
		}
		s.do("POST", path, body).wantProblem(t, 409, "projection-not-failed")
	}
	s.append("stock-MUG", "StockReceived", `{"sku":"MUG","quantity":5}`)
	var stock struct {
		OnHand int `json:"on_hand"`
	}
	if s.get("/v1/stock/MUG", &stock, s.head()); stock.OnHand != 5 {
		t.Errorf("%d are on hand, want 5", stock.OnHand)
	}
	if skips := s.details("stock_levels").Skips; len(skips) != 2 {
		t.Errorf("it skips %+v, want two events", skips)
	}
}
