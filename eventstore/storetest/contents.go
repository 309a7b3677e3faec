package storetest

import (
	"slices"

	"github.com/57528e99/recount/eventstore"
)

var contentsClauses = []clause{
	{"lists nothing in an empty log", contents, listsNothing},
	{"lists the types, schema versions and categories that ReadAll yields", contents, listsContents},
	{"lists what the store has written itself", contents.and(management), listsSystemEvents},
}

// wantContents wants the list to be what ReadAll says.
func (f *fixture) wantContents() {
	var want []eventstore.Content
	for _, e := range f.all(eventstore.ReadOptions{}) {
		c := eventstore.Content{Category: eventstore.Category(e.Stream), Type: e.Type, SchemaVersion: e.SchemaVersion, First: e.Position}
		i := slices.IndexFunc(want, func(w eventstore.Content) bool {
			return w.Category == c.Category && w.Type == c.Type && w.SchemaVersion == c.SchemaVersion
		})
		if i < 0 {
			i, want = len(want), append(want, c)
		}
		want[i].Events++
	}
	got, err := f.Store.(eventstore.ContentLister).Contents(f.Context())
	if err != nil || !slices.Equal(got, want) {
		f.Errorf("Contents() = %+v, %v; want %+v", got, err, want)
	}
}

func listsNothing(f *fixture) { f.wantContents() }

func listsContents(f *fixture) {
	f.appendFiltered()
	f.wantContents()
	// What is appended after a list is in the next: old types in old and new
	// categories, and new versions of them.
	f.append("order-2", eventstore.Any, eventstore.Event{Type: "Placed", SchemaVersion: 2, Data: []byte("12")}, eventstore.Event{Type: "Received", Data: []byte("13")})
	f.append("stock-2", eventstore.Any, eventstore.Event{Type: "Placed", Data: []byte("14")})
	f.append("stock-2", eventstore.Any, eventstore.Event{Type: "Placed", ContentType: "text/plain", Data: []byte("15")})
	f.tryAppend("stock-3", eventstore.StreamExists, eventstore.Event{Type: "Refused", Data: []byte("16")})
	f.wantContents()
}

func listsSystemEvents(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 5})
	f.delete("order-1", eventstore.Any)
	f.wantContents()
}
