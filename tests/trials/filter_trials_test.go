package trials

import (
	"maps"
	"slices"

	"github.com/57528e99/recount/delivery/pattern"
)

// filtered matches events with the filters of two subscriptions.
func filtered(w *world) {
	filters := make(map[string]*pattern.Pattern)
	for name, text := range map[string]string{
		"two of A": `{"data":{"lines":{"sku":["A"],"quantity":[2]}}}`,
		"A or B":   `{"data":{"lines":{"sku":["A","B"]}}}`,
	} {
		p, err := pattern.Compile([]byte(text))
		w.must(err)
		filters[name] = p
	}
	var m pattern.Matcher[string]
	m.AddAll(maps.All(filters))
	for data, want := range map[string][]string{
		`{"lines":[{"sku":"A","quantity":2}]}`:                          {"A or B", "two of A"},
		`{"lines":[{"sku":"A","quantity":1},{"sku":"C","quantity":2}]}`: {"A or B"},
		`{"lines":[{"sku":"B","quantity":2}]}`:                          {"A or B"},
		`{"lines":[{"sku":"C","quantity":2},{"sku":"D","quantity":2}]}`: nil,
	} {
		found := m.Match(&pattern.Event{Data: []byte(data)}, nil)
		slices.Sort(found)
		w.want(slices.Equal(found, want), "%s matches %q, want %q", data, found, want)
	}
}
