package storetest

import (
	"bytes"
	"strings"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var contentClauses = []clause{
	{"keeps data and metadata byte for byte", always, keepsBytes},
	{"keeps what an event says of itself", always, keepsAttributes},
	{"fills in the defaults of an event", always, fillsInDefaults},
	{"keeps an event of half a megabyte", always, keepsBigEvent},
	{"keeps apart stream names that look alike", always, keepsNamesApart},
	{"shares no memory with its callers", always, sharesNoMemory},
}

// Data is the caller's: a store that normalises JSON breaks signatures, and one
// that demands it refuses what was valid elsewhere.
func keepsBytes(f *fixture) {
	contents := []string{
		"", "null", `{"b":1, "a":1.0e2,"a":2}`, `{"nul":"\u0000","half":"\ud800","huge":1e400000}`,
		"not JSON {", "\x00\x01\x00", "\xff\xfe", "a\r\nb\n", strings.Repeat("[", 30_000), " \t ",
	}
	var list []eventstore.Event
	for i := range contents {
		list = append(list, eventstore.Event{
			Type: "Happened", Data: []byte(contents[i]), Metadata: []byte(contents[len(contents)-1-i]),
		})
	}
	f.append("order-1", eventstore.NoStream, list...)
	f.append("order-1", eventstore.Exact(int64(len(list)-1)), eventstore.Event{Type: "Empty"})
	list = append(list, eventstore.Event{})
	for what, got := range map[string][]eventstore.RecordedEvent{
		"ReadStream": f.stream("order-1", eventstore.ReadOptions{}),
		"ReadAll":    f.all(eventstore.ReadOptions{}),
	} {
		if len(got) != len(list) {
			f.Fatalf("%s yields %d events, want %d", what, len(got), len(list))
		}
		for i, e := range got {
			if !bytes.Equal(e.Data, list[i].Data) || !bytes.Equal(e.Metadata, list[i].Metadata) {
				f.Errorf("%s: event %d has data %.40q and metadata %.40q, want %.40q and %.40q",
					what, i, e.Data, e.Metadata, list[i].Data, list[i].Metadata)
			}
		}
	}
}

func keepsAttributes(f *fixture) {
	list := []eventstore.Event{
		{ID: uuid.New(), Type: "OrderPlaced", SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON},
		{ID: uuid.New(), Type: "OrderPlaced", SchemaVersion: 2, ContentType: "application/protobuf"},
		{ID: uuid.New(), Type: "orderplaced", SchemaVersion: 32768, ContentType: eventstore.ContentTypeJSON},
		{ID: uuid.New(), Type: "Bestellung aufgegeben 📦 %_'", SchemaVersion: 1, ContentType: "text/plain; charset=utf-8"},
		{ID: uuid.New(), Type: strings.Repeat("t", 256), SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON},
	}
	f.append("order-1", eventstore.NoStream, list...)
	for i, e := range f.stream("order-1", eventstore.ReadOptions{}) {
		if !sameEvent(e.Event, list[i]) {
			f.Errorf("event %d is %+v, want %+v", i, e.Event, list[i])
		}
	}
}

func fillsInDefaults(f *fixture) {
	f.append("order-1", eventstore.NoStream, eventstore.Event{Type: "Happened"}, eventstore.Event{Type: "Happened"})
	seen := make(map[uuid.UUID]bool)
	for _, e := range f.stream("order-1", eventstore.ReadOptions{}) {
		if e.ID == uuid.Nil || seen[e.ID] {
			f.Errorf("version %d has id %s, want one of its own", e.Version, e.ID)
		}
		seen[e.ID] = true
		if e.SchemaVersion != 1 || e.ContentType != eventstore.ContentTypeJSON {
			f.Errorf("version %d has schema version %d and content type %q, want 1 and %q",
				e.Version, e.SchemaVersion, e.ContentType, eventstore.ContentTypeJSON)
		}
	}
}

func keepsBigEvent(f *fixture) {
	big := event(strings.Repeat("0123456789abcde\n", 1<<15))
	f.append("order-1", eventstore.NoStream, event("small"), big)
	got := f.stream("order-1", eventstore.ReadOptions{})
	if len(got) != 2 || !bytes.Equal(got[1].Data, big.Data) {
		f.Fatalf("ReadStream does not yield the %d bytes that were appended", len(big.Data))
	}
}

// A collation, a LIKE or a normalisation between name and stream would mix the
// events of two customers.
func keepsNamesApart(f *fixture) {
	names := []string{
		"order-a", "order-A", "ORDER-a", "order-a ", " order-a", "order- a", "order-", "order", "-", "-order", "order--a",
		"order-%", "order-_", `order-\`, `order-'"`, "order-$1", "order-é", "order-e\u0301", "заказ-1", "📦-1", "📦-2",
		strings.Repeat("x", 511) + "y", strings.Repeat("x", 512),
	}
	for _, name := range names {
		f.append(name, eventstore.NoStream, event(name))
	}
	for _, name := range names {
		f.wantLabels("ReadStream", f.stream(name, eventstore.ReadOptions{}), name)
	}
	for i, e := range f.all(eventstore.ReadOptions{}) {
		if e.Stream != names[i] {
			f.Errorf("ReadAll event %d is of stream %q, want %q", i, e.Stream, names[i])
		}
	}
}

// Callers reuse buffers, and change what they were given.
func sharesNoMemory(f *fixture) {
	e := eventstore.Event{Type: "Happened", Data: []byte("data"), Metadata: []byte("metadata")}
	f.append("order-1", eventstore.NoStream, e)
	e.Data[0], e.Metadata[0] = 'X', 'X'
	for range 2 {
		read := f.stream("order-1", eventstore.ReadOptions{})
		read = append(read, f.all(eventstore.ReadOptions{})...)
		for b, err := range f.subscribe(eventstore.ReadOptions{}) {
			if err != nil {
				f.Fatalf("Subscribe: %v", err)
			}
			read = append(read, b.Events...)
			break
		}
		for _, r := range read {
			if string(r.Data) != "data" || string(r.Metadata) != "metadata" {
				f.Fatalf("an event has data %q and metadata %q, want what was appended", r.Data, r.Metadata)
			}
			r.Data[0], r.Metadata[0] = 'Y', 'Y'
		}
	}
}
