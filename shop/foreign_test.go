package shop_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// append puts an event into the log as another program might.
func (s *server) append(stream, eventType, data string) {
	s.Helper()
	_, err := s.store.Append(s.Context(), eventstore.StreamAppend{
		Stream: stream, Events: []eventstore.Event{{Type: eventType, Data: []byte(data)}},
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
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for failed := ""; !strings.Contains(failed, "outside"); {
		failed = s.do("GET", "/v1/projections", "").body
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("projections = %s, want stock_levels failed", failed)
		}
	}
}
