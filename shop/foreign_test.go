package shop_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// append puts an event into the log as another program might.
func (s *server) append(stream, eventType, data string) {
	s.Helper()
	_, err := s.store.Append(s.Context(), eventstore.StreamAppend{
		Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{{Type: eventType, Data: []byte(data)}},
	}, eventstore.AppendOptions{})
	if err != nil {
		s.Fatal(err)
	}
}

// Events that this program did not write are no fault of the server.
func TestEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i, data := range []string{"no JSON", `"text"`, `{"placed_at":"yesterday"}`, "", "\xff"} {
		id := fmt.Sprint("bad-", i)
		s.append("order-"+id, "OrderPlaced", data)
		s.do("POST", "/v1/orders/"+id+"/confirm", "").wantProblem(t, 409, "history-unreadable")
		s.do("GET", "/v1/orders/"+id+"?as_of=2100-01-01T00:00:00Z", "").wantProblem(t, 409, "history-unreadable")
	}
	s.append("order-other", "StockReceived", "{}")
	s.do("POST", "/v1/orders/other/confirm", "").wantProblem(t, 409, "history-unreadable")
	s.post("/v1/orders", small("good"))
}

// A number that nobody could have received stops the read model: it would be
// wrong, and would stay so.
func TestUnitsOutOfBoundsStopTheStock(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.append("stock-MUG", "StockReceived", fmt.Sprintf(`{"sku":"MUG","quantity":%d}`, int64(math.MaxInt64)))
	s.do("POST", "/v1/stock/MUG/receive", `{"quantity":1}`).wantProblem(t, 409, "stock-full")
	if failure := s.failureOf("stock_levels"); !strings.Contains(failure.Error, "outside") {
		t.Errorf("stock_levels has failed with %q, want the number", failure.Error)
	}
}

// details returns all about a projection.
func (s *server) details(name string) (told projections.Details) {
	s.Helper()
	a := s.do("GET", "/v1/projections/"+name, "")
	if err := json.Unmarshal([]byte(a.body), &told); err != nil || a.status != 200 {
		s.Fatalf("%s = %d %s (%v)", a.request, a.status, a.body, err)
	}
	return told
}

// failureOf waits until a projection has stopped on an event.
func (s *server) failureOf(name string) operations.Failure {
	s.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		told := s.details(name)
		for _, g := range told.Generations {
			if g.Failure != nil {
				return *g.Failure
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("%s is %+v, want it failed", name, told.Generations)
		}
	}
}
