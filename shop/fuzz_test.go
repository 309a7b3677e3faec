package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// FuzzEvents reads any data as any event of the shop, in every version that the
// codec knows. What is read can be written and read again, and the state takes
// it.
func FuzzEvents(f *testing.F) {
	codec, err := App().Codec()
	if err != nil {
		f.Fatal(err)
	}
	names := codec.TypeNames()
	f.Add(uint8(0), 1, []byte(`{"id":"1","lines":[{"sku":"a","quantity":9223372036854775807}],"placed_at":"2011-12-09T12:50:00+01:00"}`))
	for i := range names {
		f.Add(uint8(i), i%3, []byte(`{"quantity":-1,"at":null,"customer_id":""}`))
	}
	f.Fuzz(func(t *testing.T, kind uint8, version int, data []byte) {
		e := eventstore.Event{Type: names[int(kind)%len(names)], SchemaVersion: version, Data: data}
		v, err := codec.Decode(e)
		if err != nil {
			if !errors.Is(err, eventstore.ErrUndecodable) && !errors.Is(err, eventstore.ErrUnknownVersion) {
				t.Errorf("Decode(%q) = %v", data, err)
			}
			return
		}
		evolveTwice(v)
		written, err := codec.Encode(v)
		if err != nil {
			return // a year of five digits can be read, and not be written
		}
		back, err := codec.Decode(written)
		again, err2 := codec.Encode(back)
		if err != nil || err2 != nil || string(again.Data) != string(written.Data) {
			t.Errorf("%s is read back as %s, %v, %v", written.Data, again.Data, err, err2)
		}
	})
}

func evolveTwice(v any) {
	switch e := v.(type) {
	case order.Event:
		e.Evolve(e.Evolve(order.Order{}))
	case stock.Event:
		e.Evolve(e.Evolve(stock.Stock{}))
	case returns.Event:
		e.Evolve(e.Evolve(returns.Return{}))
	}
}

// FuzzOrders decides on any body of an order: what is accepted is an event that
// the log takes and that says what the body said.
func FuzzOrders(f *testing.F) {
	codec, err := App().Codec()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"id":"1","country":"EIRE","currency":"EUR","lines":[{"sku":"MUG","description":"","quantity":1,"unit_price_minor":250}],"placed_at":"2011-12-09T12:50:00Z"}`))
	f.Add([]byte(`{"lines":[{}],"at":"2011-12-09T12:50:00Z","placed_at":"2011-12-09T12:50:01Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var b placeBody
		// Strict decoding is httpapi's and has its own fuzzing.
		if json.Unmarshal(body, &b) != nil || b.Validate() != nil {
			return
		}
		r := &app.Request{Now: time.Now()}
		command, err := place(r, b)
		if err != nil {
			return
		}
		events, err := command.Decide(order.Order{})
		if err != nil {
			if !errors.Is(err, goods.ErrInvalid) {
				t.Errorf("%q: %v, want a *goods.InvalidError", body, err)
			}
			return
		}
		e, err := codec.Encode(events[0])
		if err != nil {
			t.Fatalf("%q is accepted, and cannot be written: %v", body, err)
		}
		if err := (eventstore.Limits{}).Validate([]eventstore.StreamAppend{{Stream: categoryOrder + "-" + r.ID, Expected: eventstore.Any, Events: []eventstore.Event{e}}}, eventstore.AppendOptions{}); err != nil {
			t.Errorf("%q is accepted, and the log refuses it: %v", body, err)
		}
		if back, err := codec.Decode(e); err != nil || !reflect.DeepEqual(back, any(events[0])) {
			t.Errorf("%+v is read back as %+v, %v", events[0], back, err)
		}
	})
}

// FuzzQueries reads the query of every list and of the past.
func FuzzQueries(f *testing.F) {
	a, err := httpapi.New(httpapi.Config{Problems: App().Problems()})
	if err != nil {
		f.Fatal(err)
	}
	var fault string
	httpapi.Read(a, "/sales", salesQueryOf, func(_ context.Context, in httpapi.ReadRequest[salesQuery]) (string, error) {
		if sql := in.Params.sql(); !fits(sql, []any{in.Params.From, in.Params.To}) {
			fault = sql + " has not two arguments"
		}
		return "", nil
	})
	httpapi.Read(a, "/past", asOf, func(_ context.Context, in httpapi.ReadRequest[*projections.Moment]) (string, error) {
		if m := in.Params; m != nil && (m.Position < 0 || m.Position > 0 && !m.RecordedAt.IsZero()) {
			fault = fmt.Sprintf("the moment is %+v", m)
		}
		return "", nil
	})
	httpapi.Read(a, "/orders", orderQueryOf, func(_ context.Context, in httpapi.ReadRequest[orderQuery]) (string, error) {
		if in.Params.limit < 1 || in.Params.limit > maxOrders {
			fault = fmt.Sprintf("the limit is %d", in.Params.limit)
		}
		if sql, args := in.Params.sql(); !fits(sql, args) {
			fault = fmt.Sprintf("%s has not %d arguments", sql, len(args))
		}
		return "", nil
	})
	httpapi.Read(a, "/history", historyPageOf, func(_ context.Context, in httpapi.ReadRequest[historyPage]) (string, error) {
		if in.Params.limit < 1 || in.Params.limit > queries.MaxLimit {
			fault = fmt.Sprintf("the limit is %d", in.Params.limit)
		}
		return "", nil
	})
	h, err := a.Handler()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), "by=sku&sort=-units&limit=10&from=2011-01-01&to=2011-12-31")
	f.Add(uint8(0), "by=sku;DROP&after=bm90")
	f.Add(uint8(1), "as_of=2011-12-09T12:50:00%2B01:00")
	f.Add(uint8(1), "as_of=9223372036854775808")
	f.Add(uint8(2), "status=placed&day=2011-12-09&after=A&customer=%00")
	f.Add(uint8(3), "limit=10001")
	f.Fuzz(func(t *testing.T, list uint8, query string) {
		r := httptest.NewRequest("GET", "/"+[]string{"sales", "past", "orders", "history"}[list%4], nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		fault = ""
		h.ServeHTTP(w, r)
		if fault != "" || w.Code != 200 && (w.Code != 400 || !strings.Contains(w.Body.String(), `"hint":"`)) {
			t.Errorf("%s?%s = %d %s %s", r.URL.Path, query, w.Code, w.Body, fault)
		}
	})
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// fits reports whether a statement has as many parameters as arguments.
func fits(sql string, args []any) bool {
	highest := 0
	for _, m := range parameter.FindAllStringSubmatch(sql, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return false
		}
		highest = max(highest, n)
	}
	return highest == len(args)
}
