package storetest

import (
	"fmt"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

var filterClauses = []clause{
	{"picks events by type, category and stream prefix", always, picksByFilter},
	{"finds the few events that a filter picks among many", always, findsFewAmongMany},
	{"subscribes to what a filter picks", always, subscribesToFilter},
	{"picks system events like any other", management, picksSystemEvents},
}

// filtered are events, as stream and type, whose names are traps for patterns,
// cut-off names and collations.
var filtered = []struct{ stream, eventType string }{
	{"order-1", "Placed"},
	{"order-2", "Placed"},
	{"order-1", "Shipped"},
	{"orders-1", "Placed"},
	{"order", "Placed"},
	{"Order-1", "placed"},
	{"order_1", "Placed"},
	{"order%1", "Placed"},
	{"order-1-a", "Shipped"},
	{"-1", "Placed"},
	{`order\1`, "Placed"},
	{"stock-1", "Received"},
}

func (f *fixture) appendFiltered() {
	for i, e := range filtered {
		f.append(e.stream, eventstore.Any, eventstore.Event{Type: e.eventType, Data: fmt.Append(nil, i)})
	}
}

// filters come with the indexes of the filtered events that they pick.
var filters = []struct {
	filter eventstore.Filter
	want   []string
}{
	{eventstore.Filter{}, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}},
	{eventstore.Filter{Types: []string{"Placed"}}, []string{"0", "1", "3", "4", "6", "7", "9", "10"}},
	{eventstore.Filter{Types: []string{"Shipped", "Received", "Never"}}, []string{"2", "8", "11"}},
	{eventstore.Filter{Types: []string{"Never"}}, nil},
	{eventstore.Filter{Types: []string{"Plac"}}, nil},
	{eventstore.Filter{Categories: []string{"order"}}, []string{"0", "1", "2", "4", "8"}},
	{eventstore.Filter{Categories: []string{"stock", "Order"}}, []string{"5", "11"}},
	{eventstore.Filter{Categories: []string{"order-1"}}, nil},
	{eventstore.Filter{Categories: []string{""}}, []string{"9"}},
	{eventstore.Filter{StreamPrefixes: []string{"order-1"}}, []string{"0", "2", "8"}},
	{eventstore.Filter{StreamPrefixes: []string{"order_", "order%"}}, []string{"6", "7"}},
	{eventstore.Filter{StreamPrefixes: []string{`order\`}}, []string{"10"}},
	{eventstore.Filter{StreamPrefixes: []string{"never", "stock-1"}}, []string{"11"}},
	{eventstore.Filter{StreamPrefixes: []string{"stock-12"}}, nil},
	{eventstore.Filter{StreamPrefixes: []string{""}, Types: []string{"Received"}}, []string{"11"}},
	{eventstore.Filter{Types: []string{"Placed"}, Categories: []string{"order"}}, []string{"0", "1", "4"}},
	{eventstore.Filter{Types: []string{"Placed", "Shipped"}, Categories: []string{"order"}, StreamPrefixes: []string{"order-1", "stock"}}, []string{"0", "2", "8"}},
	{eventstore.Filter{Types: []string{"Received"}, Categories: []string{"order"}}, nil},
	{eventstore.Filter{Types: []string{"Received"}, StreamPrefixes: []string{"order"}}, nil},
	{eventstore.Filter{Categories: []string{"stock"}, StreamPrefixes: []string{"order"}}, nil},
	{eventstore.Filter{Types: []string{"Received"}, Others: &eventstore.Others{Known: []string{"Placed", "Never"}}}, []string{"2", "5", "8", "11"}},
	{eventstore.Filter{Types: []string{"Received"}, Others: &eventstore.Others{Known: []string{"Placed"}, Except: []string{"order", "never"}}}, []string{"5", "11"}},
	{eventstore.Filter{Types: []string{"Never"}, Others: &eventstore.Others{}, StreamPrefixes: []string{"stock"}}, []string{"11"}},
	{eventstore.Filter{Types: []string{"Never"}, Others: &eventstore.Others{Known: []string{"Placed", "placed", "Shipped", "Received"}}}, nil},
}

func picksByFilter(f *fixture) {
	f.appendFiltered()
	for _, c := range filters {
		for _, page := range pages {
			for _, limit := range limits {
				opts := eventstore.ReadOptions{Filter: c.filter, PageSize: page, Limit: limit}
				want := c.want
				if limit > 0 {
					want = want[:min(int(limit), len(want))]
				}
				f.wantLabels(fmt.Sprintf("ReadAll(%+v)", opts), f.all(opts), want...)
			}
			opts := eventstore.ReadOptions{Filter: c.filter, PageSize: page, From: eventstore.End, Backwards: true}
			want := slices.Clone(c.want)
			slices.Reverse(want)
			f.wantLabels(fmt.Sprintf("ReadAll(%+v)", opts), f.all(opts), want...)
		}
	}
}

// A page of the log may have nothing that the filter picks; the read must go
// on, and the limit counts only what was picked.
func findsFewAmongMany(f *fixture) {
	for i := range 3 {
		f.append("order-1", eventstore.Any, numbered("noise", 40)...)
		f.append("order-1", eventstore.Any, eventstore.Event{Type: "Rare", Data: fmt.Append(nil, i)})
	}
	rare := eventstore.Filter{Types: []string{"Rare"}}
	for _, page := range pages {
		opts := eventstore.ReadOptions{Filter: rare, PageSize: page}
		f.wantLabels("ReadAll", f.all(opts), "0", "1", "2")
		opts.Limit = 2
		f.wantLabels("ReadAll with a limit", f.all(opts), "0", "1")
		opts.Backwards, opts.From = true, eventstore.End
		f.wantLabels("ReadAll backwards with a limit", f.all(opts), "2", "1")
	}
}

func subscribesToFilter(f *fixture) {
	f.appendFiltered()
	for _, c := range filters {
		if len(c.want) == 0 {
			continue
		}
		for _, page := range []int{0, 1, 3} {
			opts := eventstore.ReadOptions{Filter: c.filter, PageSize: page}
			f.wantLabels(fmt.Sprintf("Subscribe(%+v)", opts), f.follow(opts, len(c.want)), c.want...)
		}
	}
}

// A projection of deletions, or of metadata, is a projection like any other.
func picksSystemEvents(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 5})
	f.delete("order-1", eventstore.Any)
	f.append("order-2", eventstore.NoStream, event("b"))
	f.tombstone("order-2", eventstore.Any)
	for _, c := range []struct {
		filter eventstore.Filter
		want   []string
	}{
		{eventstore.Filter{}, []string{"Happened", eventstore.TypeMetadata, eventstore.TypeDeleted, "Happened", eventstore.TypeTombstone}},
		{eventstore.Filter{Types: []string{eventstore.TypeDeleted, eventstore.TypeTombstone}}, []string{eventstore.TypeDeleted, eventstore.TypeTombstone}},
		{eventstore.Filter{Types: []string{eventstore.TypeMetadata}}, []string{eventstore.TypeMetadata}},
		{eventstore.Filter{StreamPrefixes: []string{"$"}}, []string{eventstore.TypeMetadata}},
		{eventstore.Filter{Types: []string{"Never"}, Others: &eventstore.Others{}}, []string{"Happened", "Happened"}},
		{eventstore.Filter{Categories: []string{"order"}}, []string{"Happened", eventstore.TypeDeleted, "Happened", eventstore.TypeTombstone}},
		{eventstore.Filter{Categories: []string{"$$order"}}, []string{eventstore.TypeMetadata}},
	} {
		var types []string
		for _, e := range f.all(eventstore.ReadOptions{Filter: c.filter}) {
			types = append(types, e.Type)
		}
		if !slices.Equal(types, c.want) {
			f.Errorf("ReadAll with %+v yields %q, want %q", c.filter, types, c.want)
		}
	}
}
