package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var invalidClauses = []clause{
	{"refuses invalid appends and names the field", always, refusesInvalidAppends},
	{"takes the engine's own events from the engine", always, takesSystemEvents},
	{"refuses what is too big", always, refusesTooBig},
	{"refuses read options that make no sense", always, refusesInvalidReads},
	{"finds nothing under an invalid stream name", always, findsNoInvalidStream},
}

// invalidStreams are names that no user may write, by what is wrong.
var invalidStreams = map[string]string{
	"empty":         "",
	"of the store":  "$order-1",
	"metadata":      "$$order-1",
	"NUL":           "order-\x00",
	"line break":    "order-\n1",
	"delete":        "order-\x7f",
	"invalid UTF-8": "order-\xff",
	"too long":      strings.Repeat("x", 513),
}

func refusesInvalidAppends(f *fixture) {
	for what, name := range invalidStreams {
		f.invalid("a stream name that is "+what, "stream", streamAppend(name, eventstore.Any, event("a")))
	}
	f.invalid("no events", "events", streamAppend("order-1", eventstore.Any))
	for what, name := range map[string]string{
		"empty": "", "of the store": "$deleted", "too long": strings.Repeat("x", 257),
		"with NUL": "a\x00", "with a tab": "a\tb", "invalid UTF-8": "\xc3",
	} {
		f.invalid("a type that is "+what, "events[1].type",
			streamAppend("order-1", eventstore.Any, eventstore.Event{Type: "Happened"}, eventstore.Event{Type: name}))
	}
	id := uuid.New()
	for what, c := range map[string]struct {
		field string
		event eventstore.Event
	}{
		"a negative schema version": {"events[1].schema_version", eventstore.Event{ID: uuid.New(), Type: "Happened", SchemaVersion: -1}},
		"a huge schema version":     {"events[1].schema_version", eventstore.Event{ID: uuid.New(), Type: "Happened", SchemaVersion: 32769}},
		"a bad content type":        {"events[1].content_type", eventstore.Event{ID: uuid.New(), Type: "Happened", ContentType: "a\n"}},
		"an id twice":               {"events[1].id", eventstore.Event{ID: id, Type: "Happened"}},
		"ids in some events only":   {"events[1].id", eventstore.Event{Type: "Happened"}},
	} {
		f.invalid(what, c.field, streamAppend("order-1", eventstore.Any, eventstore.Event{ID: id, Type: "Happened"}, c.event))
	}
}

// A store has to hold what it takes in memory, and so do its readers.
func refusesTooBig(f *fixture) {
	limits := eventstore.Limits{}.WithDefaults()
	tooBig := eventstore.Event{Type: "Happened", Data: make([]byte, limits.EventBytes), Metadata: []byte("x")}
	f.invalid("an event that is too big", "events[0].data", streamAppend("order-1", eventstore.Any, tooBig))

	many := make([]eventstore.Event, limits.AppendEvents+1)
	for i := range many {
		many[i].Type = "Happened"
	}
	f.invalid("too many events", "events", streamAppend("order-1", eventstore.Any, many...))

	heavy := make([]eventstore.Event, limits.AppendBytes/limits.EventBytes+1)
	for i := range heavy {
		heavy[i] = eventstore.Event{Type: "Happened", Data: make([]byte, limits.EventBytes)}
	}
	f.invalid("too many bytes", "events", streamAppend("order-1", eventstore.Any, heavy...))
}

// What they look like nobody else may write, and with it one writes nothing else:
// no mark of a deletion either.
func takesSystemEvents(f *fixture) {
	system := eventstore.AppendOptions{System: true}
	noted := eventstore.Event{ID: uuid.New(), Type: "$Noted", Data: []byte(`{}`)}
	if _, err := f.Append(f.Context(), streamAppend("$engine-1", eventstore.NoStream, noted), system); err != nil {
		f.Fatalf("Append of the engine: %v", err)
	}
	for what, read := range map[string]func() ([]eventstore.RecordedEvent, error){
		"ReadAll": func() ([]eventstore.RecordedEvent, error) {
			return collect(f.ReadAll(f.Context(), eventstore.ReadOptions{}))
		},
		"ReadStream": func() ([]eventstore.RecordedEvent, error) {
			return collect(f.ReadStream(f.Context(), "$engine-1", eventstore.ReadOptions{}))
		},
	} {
		if got, err := read(); err != nil || len(got) != 1 || got[0].Type != noted.Type || got[0].ID != noted.ID {
			f.Errorf("%s yields %v, %v, want the event of the engine", what, got, err)
		}
	}
	for what, c := range map[string]struct {
		field, stream, kind string
	}{
		"a caller's stream":   {"stream", "order-1", "$Noted"},
		"metadata":            {"stream", "$$order-1", "$Noted"},
		"a caller's type":     {"events[0].type", "$engine-1", "Happened"},
		"a mark of deletion":  {"events[0].type", "$engine-1", eventstore.TypeDeleted},
		"a tombstone":         {"events[0].type", "$engine-1", eventstore.TypeTombstone},
		"a stream's metadata": {"events[0].type", "$engine-1", eventstore.TypeMetadata},
	} {
		f.invalidWith("the engine's "+what, c.field, streamAppend(c.stream, eventstore.Any, eventstore.Event{Type: c.kind}), system)
	}
}

func (f *fixture) invalid(what, field string, a eventstore.StreamAppend) {
	f.Helper()
	f.invalidWith(what, field, a, eventstore.AppendOptions{})
}

func (f *fixture) invalidWith(what, field string, a eventstore.StreamAppend, opts eventstore.AppendOptions) {
	f.Helper()
	f.refused("Append with "+what, eventstore.ErrInvalid, func() error {
		_, err := f.Append(f.Context(), a, opts)
		var invalid *eventstore.InvalidError
		if errors.As(err, &invalid) && invalid.Field != field {
			f.Errorf("Append with %s: the field is %q, want %q", what, invalid.Field, field)
		}
		return err
	})
}

// An option that is ignored gives an answer to another question.
func refusesInvalidReads(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	filter, one := eventstore.Filter{Types: []string{"Happened"}}, []int64{1}
	for _, opts := range []eventstore.ReadOptions{{Limit: -1}, {PageSize: -1}, {PageBytes: -1}, {Filter: filter}, {After: f.head()}, {Positions: one}} {
		_, err := collect(f.ReadStream(f.Context(), "order-1", opts))
		f.wantErr(fmt.Sprintf("ReadStream with %+v", opts), err, eventstore.ErrInvalid)
	}
	for _, opts := range []eventstore.ReadOptions{
		{Limit: -1}, {PageSize: -1}, {PageBytes: -1}, {Positions: []int64{0}}, {Positions: []int64{2, 1}}, {Positions: []int64{1, 1}},
		{Positions: one, From: 1}, {Positions: one, After: f.head()}, {Positions: one, Backwards: true}, {Positions: one, Filter: filter},
	} {
		_, err := collect(f.ReadAll(f.Context(), opts))
		f.wantErr(fmt.Sprintf("ReadAll with %+v", opts), err, eventstore.ErrInvalid)
	}
	for _, opts := range []eventstore.ReadOptions{{Limit: -1}, {PageSize: -1}, {PageBytes: -1}, {Limit: 1}, {Backwards: true}, {Positions: one}} {
		_, err := collect(f.untilFirst(opts))
		f.wantErr(fmt.Sprintf("Subscribe with %+v", opts), err, eventstore.ErrInvalid)
	}
}

// Names come from URLs. A driver's error about an encoding would be a 500.
func findsNoInvalidStream(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	for what, name := range invalidStreams {
		got, err := collect(f.ReadStream(f.Context(), name, eventstore.ReadOptions{}))
		if len(got) > 0 || !errors.Is(err, eventstore.ErrStreamNotFound) && !errors.Is(err, eventstore.ErrInvalid) {
			f.Errorf("ReadStream of a name that is %s yields %d events and the error %v, want %v or %v",
				what, len(got), err, eventstore.ErrStreamNotFound, eventstore.ErrInvalid)
		}
	}
}
