package onlineretail

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/57528e99/recount/domain/goods"
)

func TestCommandsAreWrittenAsTheServerReadsThem(t *testing.T) {
	t.Parallel()
	book := mustRead(t, header+
		"70001,GIFT WRAP,\"A \"\"MUG\"\" <é>\",6,2024-03-01T08:26:00Z,2.5,501,Norway\n"+
		"70001,1001A,,1,2024-03-01T08:26:00Z,0,501,Norway\n"+
		"70001,GIFT WRAP,MUG,1,2024-03-01T08:26:00Z,2.5,501,Norway\n"+
		"70002,GIFT WRAP, ,-3,2024-03-02T08:26:00Z,0,,Norway\n"+
		"C70003,D,Discount,-1,2024-03-02T09:00:00Z,27.05,,Norway\n")
	order, adjustment, back := &book.Invoices[0], &book.Invoices[1], &book.Invoices[2]
	w := writer{"p", "GBP", book.firstDay()}
	opened := openings(book.sequence())
	for _, c := range []struct {
		got             command
		path, key, body string
	}{
		{w.lines(order), "/v1/orders", "p/70001/place",
			`{"id":"70001","customer_id":"501","country":"Norway","currency":"GBP","lines":[` +
				`{"sku":"GIFT WRAP","description":"A \"MUG\" \u003cé\u003e","quantity":6,"unit_price_minor":250},` +
				`{"sku":"1001A","description":"","quantity":1,"unit_price_minor":0},` +
				`{"sku":"GIFT WRAP","description":"MUG","quantity":1,"unit_price_minor":250}],"at":"2024-03-01T08:26:00Z"}`},
		{w.step(order, "ship"), "/v1/orders/70001/ship", "p/70001/ship", `{"at":"2024-03-01T08:26:00Z"}`},
		{w.reservation(order, order.articles()[0], "reserve"), "/v1/stock/GIFT%20WRAP/reserve", "p/70001/reserve/GIFT%20WRAP",
			`{"order_id":"70001","quantity":7,"at":"2024-03-01T08:26:00Z"}`},
		{w.receive(opened["GIFT WRAP"].articleUnits), "/v1/stock/GIFT%20WRAP/receive", "p/opening/GIFT%20WRAP",
			`{"quantity":10,"at":"2024-03-01T00:00:00Z"}`},
		{w.adjust(adjustment, 0), "/v1/stock/GIFT%20WRAP/adjust", "p/70002/adjust/1/GIFT%20WRAP",
			`{"delta":-3,"reason":"stock adjustment","at":"2024-03-02T08:26:00Z"}`},
		{w.lines(back), "/v1/returns", "p/C70003/return",
			`{"id":"C70003","customer_id":null,"country":"Norway","currency":"GBP","lines":[` +
				`{"sku":"D","description":"Discount","quantity":1,"unit_price_minor":2705}],"at":"2024-03-02T09:00:00Z"}`},
	} {
		body, err := json.Marshal(c.got.body)
		if c.got.path != c.path || c.got.key != c.key || string(body) != c.body || err != nil {
			t.Errorf("command = %s, %s, %s\nwant %s, %s, %s", c.got.path, c.got.key, body, c.path, c.key, c.body)
		}
	}
	if opened["D"] != nil {
		t.Error("an article that only comes back has an opening")
	}
}

func TestKeysFitIntoAHeader(t *testing.T) {
	t.Parallel()
	w := writer{keyPrefix: strings.Repeat("p", 100)}
	long := strings.Repeat("9", goods.MaxIDBytes)
	seen := make(map[string]bool)
	for _, sku := range []string{"a", "A", "a b", "a%20b", `a"b`, `a;b,c`, "é", "e\u0301", strings.Repeat("é", 32), strings.Repeat("è", 32)} {
		for _, number := range []string{"1", long} {
			key := w.key(number, "reserve", sku)
			if err := checkKey(key); err != nil {
				t.Error(err)
			}
			if seen[key] {
				t.Errorf("key %s of %q is that of another article", key, sku)
			}
			seen[key] = true
		}
	}
}

func TestAnOrderOrAReturnIsBegunFirst(t *testing.T) {
	t.Parallel()
	const lost, sold, back = "1,A,,-1,2024-03-01T08:26:00Z,0,,Norway\n", "2,A,,1,2024-03-01T08:26:00Z,0,,Norway\n", "C3,A,,-1,2024-03-01T08:26:00Z,0,,Norway\n"
	for text, want := range map[string]string{
		"":                       "",
		lost:                     "1",
		sold + lost + back:       "2 1 C3",
		lost + back + sold:       "C3 1 2",
		lost + "4" + lost + sold: "2 1 41",
		lost + sold + "4" + sold: "2 1 42",
	} {
		var got []string
		for _, v := range mustRead(t, header+text).sequence() {
			got = append(got, v.Number)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("sequence of\n%s= %v, want %s", text, got, want)
		}
	}
}
