package pattern_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery/pattern"
)

// order has data of 200 bytes.
const order = `{"order_id":"order-536365","customer_id":"customer-12346","country":"DE","currency":"EUR","total_minor":123450,` +
	`"channel":"web","note":"leave it with the neighbour","placed_at":"2026-01-02T03:04:05Z"}`

func eventOf(data string) *pattern.Event {
	return &pattern.Event{Position: 1234567, Stream: "order-536365", Category: "order", Version: 3, ID: [16]byte{1, 2, 3}, Type: "OrderPlaced", SchemaVersion: 1,
		RecordedAt: time.Unix(1767323045, 0), Data: []byte(data), Metadata: []byte(`{"correlation_id":"c-1"}`)}
}

// matcherOf returns a matcher of n patterns.
func matcherOf(tb testing.TB, n int, text func(i int) string) *pattern.Matcher[int] {
	tb.Helper()
	var m pattern.Matcher[int]
	m.AddAll(func(yield func(int, *pattern.Pattern) bool) {
		for i := range n {
			p, err := pattern.Compile([]byte(text(i)))
			if err != nil {
				tb.Fatal(err)
			}
			if !yield(i, p) {
				return
			}
		}
	})
	return &m
}

// cases are what is measured, and must not allocate.
var cases = []struct {
	name  string
	n     int
	event *pattern.Event
	text  func(i int) string
}{
	{"exact/10", 10, eventOf(order), exact},
	{"exact/1000", 1000, eventOf(order), exact},
	{"exact/50000", 50_000, eventOf(order), exact},
	{"one_exact_14_bytes", 1, eventOf(`{"a":"abcdef"}`), func(int) string { return `{"data":{"a":["abcdef"]}}` }},
	{"prefix/1", 1, eventOf(order), prefix},
	{"prefix/1000", 1000, eventOf(order), prefix},
	{"wildcard/1", 1, eventOf(order), wildcards},
	{"wildcard/8", 8, eventOf(order), wildcards},
	{"wildcard/32", 32, eventOf(order), wildcards},
	{"wildcard/128", 128, eventOf(order), wildcards},
	{"numeric_equal/1000", 1000, eventOf(order), func(i int) string { return fmt.Sprintf(`{"data":{"total_minor":[%d]}}`, 123400+i) }},
	{"numeric_range/1000", 1000, eventOf(order), func(i int) string {
		return fmt.Sprintf(`{"data":{"total_minor":[{"numeric":[">=",%d,"<",%d]}]}}`, 123000+i, 123001+i)
	}},
	{"large_event_last_field", 10, eventOf(large), func(i int) string { return fmt.Sprintf(`{"data":{"last":["value-%d"]}}`, i) }},
	{"large_event_type_only", 10, eventOf(large), func(i int) string { return fmt.Sprintf(`{"type":["OrderPlaced","T%d"]}`, i) }},
	{"array/500", 1, eventOf(array(500)), arrays},
	{"array/1000", 1, eventOf(array(1000)), arrays},
	{"array/3000", 1, eventOf(array(3000)), arrays},
	{"array_of_objects/500", 1, eventOf(objects(500)), objectPattern},
	{"array_of_objects/3000", 1, eventOf(objects(3000)), objectPattern},
}

func exact(i int) string {
	return fmt.Sprintf(`{"type":["OrderPlaced"],"data":{"customer_id":["customer-%d"],"country":["DE"]}}`, 12340+i)
}

func prefix(i int) string {
	return fmt.Sprintf(`{"data":{"customer_id":[{"prefix":"customer-%d"}]}}`, 123+i)
}

func wildcards(i int) string {
	return fmt.Sprintf(`{"data":{"note":[{"wildcard":"*%c%c*"}]}}`, 'a'+i%26, 'a'+i/3%26)
}

var large = `{"lines":[` + strings.Repeat(`{"sku":"22423","description":"REGENCY CAKESTAND 3 TIER","quantity":12,"unit_price_minor":1275},`, 60) +
	`{"sku":"0"}],"last":"value-3"}`

// array is primitives beside a scalar, where each with each would be a square.
func array(n int) string {
	return `{"values":[` + strings.TrimSuffix(strings.Repeat(`"v",`, n), ",") + `],"scalar":"x","others":[` + strings.TrimSuffix(strings.Repeat(`1,`, n), ",") + `]}`
}

func arrays(int) string {
	return `{"data":{"values":["v"],"others":[{"numeric":[">",1]},1],"scalar":["y",{"anything-but":"x"},{"wildcard":"*x*x"}]}}`
}

func objects(n int) string {
	return `{"lines":[` + strings.Repeat(`{"sku":"A","quantity":1,"tags":["x"]},{"sku":"B","quantity":2,"tags":["y"]},`, n/2) + `{"sku":"C","quantity":3,"tags":[]}]}`
}

func objectPattern(int) string {
	return `{"data":{"lines":{"sku":["A"],"quantity":[2],"tags":["x","y"]}}}`
}

func BenchmarkMatch(b *testing.B) {
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			m := matcherOf(b, c.n, c.text)
			ids := m.Match(c.event, make([]int, 0, c.n))
			b.SetBytes(int64(len(c.event.Data)))
			b.ReportAllocs()
			for b.Loop() {
				ids = m.Match(c.event, ids[:0])
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	text := []byte(exact(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pattern.Compile(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAdd adds patterns to 50,000, one at a time.
func BenchmarkAdd(b *testing.B) {
	m := matcherOf(b, 50_000, exact)
	p, err := pattern.Compile([]byte(exact(1)))
	if err != nil {
		b.Fatal(err)
	}
	for i := 50_000; b.Loop(); i++ {
		m.Add(i, p)
	}
}

// BenchmarkAddAll makes a matcher of 50,000 patterns.
func BenchmarkAddAll(b *testing.B) {
	var compiled []*pattern.Pattern
	for i := range 50_000 {
		p, err := pattern.Compile([]byte(exact(i)))
		if err != nil {
			b.Fatal(err)
		}
		compiled = append(compiled, p)
	}
	for b.Loop() {
		var m pattern.Matcher[int]
		m.AddAll(func(yield func(int, *pattern.Pattern) bool) {
			for i, p := range compiled {
				if !yield(i, p) {
					return
				}
			}
		})
	}
}
