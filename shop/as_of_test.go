package shop_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
)

func TestOrderAsOf(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", orderJSON("1", "", "Norway", "NOK", "2011-12-01T10:00:00Z", lineJSON("TEA-1", 1, 100)))
	s.post("/v1/orders", orderJSON("2", "", "Norway", "NOK", "2011-12-01T10:00:00Z", lineJSON("TEA-1", 1, 100)))
	s.post("/v1/orders/1/confirm", "")
	after := s.post("/v1/orders/1/cancel", `{"reason":"none left"}`)
	for position, want := range []string{1: "placed", 2: "placed", 3: "confirmed", 4: "cancelled"} {
		if position == 0 {
			continue
		}
		var got struct {
			ID, Status string
			TotalMinor int64 `json:"total_minor"`
		}
		s.get(fmt.Sprintf("/v1/orders/1?as_of=%d", position), &got, after)
		if got.ID != "1" || got.Status != want || got.TotalMinor != 100 {
			t.Errorf("order as of %d is %+v, want %s", position, got, want)
		}
	}
	s.do("GET", "/v1/orders/2?as_of=1", "").wantProblem(t, 404, "not-found")
	s.do("GET", "/v1/orders/never?as_of=1", "").wantProblem(t, 404, "not-found")

	// The ETag is that of the version, as commands have it.
	if a := s.do("GET", "/v1/orders/1?as_of=3", ""); a.header.Get("ETag") != `"1"` {
		t.Errorf("ETag as of 3 is %s, want that of version 1", a.header.Get("ETag"))
	}
}

// TestStockAsOfATime: the time is that of recording, whatever "at" says.
func TestStockAsOfATime(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 3 {
		s.post("/v1/stock/TEA-1/receive", `{"quantity":1,"at":"2011-12-01T10:00:00Z"}`)
	}
	var times []time.Time
	for e, err := range s.store.ReadStream(t.Context(), "stock-TEA-1", eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, e.RecordedAt)
	}
	zone := time.FixedZone("", 5*3600)
	for i, at := range times {
		var got struct {
			OnHand int64 `json:"on_hand"`
		}
		s.get("/v1/stock/TEA-1?as_of="+url.QueryEscape(at.In(zone).Format(time.RFC3339Nano)), &got, "Accept: */*")
		if got.OnHand != int64(i+1) {
			t.Errorf("stock as of event %d is %d, want %d", i, got.OnHand, i+1)
		}
	}
	s.do("GET", "/v1/stock/TEA-1?as_of=2011-12-02T10:00:00Z", "").wantProblem(t, 404, "not-found")
}

func TestMomentsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/stock/TEA-1/receive", `{"quantity":1}`)
	for text, code := range map[string]string{
		"2": "as-of-ahead", "9223372036854775807": "as-of-ahead", "0": "invalid-parameter", "-1": "invalid-parameter",
		"now": "invalid-parameter", "2011-12-09": "invalid-parameter", "92233720368547758080": "invalid-parameter",
		"2011-12-09T12:50:00 01:00": "invalid-parameter", "": "invalid-parameter",
	} {
		s.do("GET", "/v1/stock/TEA-1?as_of="+url.QueryEscape(text), "").wantProblem(t, 400, code)
	}
}

// TestTheLackOfAPastIsExplained for what rests on many streams.
func TestTheLackOfAPastIsExplained(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/v1/sales?as_of=1", "/v1/sales?by=sku&as_of=2011-12-02T10:00:00Z", "/v1/orders?as_of=1", "/v1/customers/ann?as_of=1"} {
		a := s.do("GET", path, "")
		a.wantProblem(t, 400, "invalid-parameter")
		if strings.Count(a.body, "/v1/stock/{sku}") != 2 { // in the detail and at the parameter
			t.Errorf("GET %s = %s, want where as_of is taken", path, a.body)
		}
	}
}
