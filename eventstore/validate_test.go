package eventstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

func happened(change ...func(*eventstore.Event)) eventstore.Event {
	e := eventstore.Event{Type: "Happened"}
	for _, c := range change {
		c(&e)
	}
	return e
}

func appendTo(stream string, events ...eventstore.Event) []eventstore.StreamAppend {
	return []eventstore.StreamAppend{{Stream: stream, Expected: eventstore.Any, Events: events}}
}

// wantInvalid fails the test unless err is an *InvalidError of the given field,
// or nil if that is empty.
func wantInvalid(t *testing.T, what string, err error, field string) {
	t.Helper()
	var invalid *eventstore.InvalidError
	switch {
	case field == "" && err != nil:
		t.Errorf("%s: %v, want no error", what, err)
	case field == "":
	case !errors.As(err, &invalid) || !errors.Is(err, eventstore.ErrInvalid):
		t.Errorf("%s: %v, want an error about %s", what, err, field)
	case invalid.Field != field || invalid.Reason == "" || !strings.Contains(err.Error(), field+" "+invalid.Reason):
		t.Errorf("%s: %q is about %s, want %s", what, err, invalid.Field, field)
	}
}

func TestValidateAppend(t *testing.T) {
	id := uuid.New()
	withID := func(id uuid.UUID) eventstore.Event { return happened(func(e *eventstore.Event) { e.ID = id }) }
	typed := func(name string) eventstore.Event { return happened(func(e *eventstore.Event) { e.Type = name }) }
	for _, c := range []struct {
		what    string
		appends []eventstore.StreamAppend
		field   string
	}{
		{"one event", appendTo("order-1", happened()), ""},
		{"no appends", nil, "appends"},
		{"no events", appendTo("order-1"), "events"},
		{"a bad second append", append(appendTo("order-1", happened()), appendTo("$order-1", happened())...), "stream"},
		{"no type", appendTo("order-1", happened(), typed("")), "events[1].type"},
		{"a type of the store", appendTo("order-1", typed(eventstore.TypeDeleted)), "events[0].type"},
		{"the longest type", appendTo("order-1", typed(strings.Repeat("t", 256))), ""},
		{"a type too long", appendTo("order-1", typed(strings.Repeat("t", 257))), "events[0].type"},
		{"a type of half a character", appendTo("order-1", typed("\xc3")), "events[0].type"},
		{"ids", appendTo("order-1", withID(id), withID(uuid.New())), ""},
		{"an id twice", appendTo("order-1", withID(id), withID(id)), "events[1].id"},
		{"an id missing", appendTo("order-1", withID(id), happened()), "events[1].id"},
		{"an id in one only", appendTo("order-1", happened(), withID(id)), "events[1].id"},
		{"an id in two streams", append(appendTo("order-1", withID(id)), appendTo("order-2", withID(id))...), ""},
		{"ids in one append of two", append(appendTo("order-1", withID(id)), appendTo("order-2", happened())...), ""},
		{"the highest schema version", appendTo("order-1", happened(func(e *eventstore.Event) { e.SchemaVersion = 1 << 15 })), ""},
		{"a higher one", appendTo("order-1", happened(func(e *eventstore.Event) { e.SchemaVersion = 1<<15 + 1 })), "events[0].schema_version"},
		{"a negative one", appendTo("order-1", happened(func(e *eventstore.Event) { e.SchemaVersion = -1 })), "events[0].schema_version"},
		{"a content type", appendTo("order-1", happened(func(e *eventstore.Event) { e.ContentType = "text/plain" })), ""},
		{"a content type with a line break", appendTo("order-1", happened(func(e *eventstore.Event) { e.ContentType = "a\r\nb" })), "events[0].content_type"},
	} {
		wantInvalid(t, c.what, eventstore.Limits{}.Validate(c.appends, eventstore.AppendOptions{}), c.field)
	}
}

func TestValidateLimits(t *testing.T) {
	sized := func(data, metadata int) eventstore.Event {
		return happened(func(e *eventstore.Event) { e.Data, e.Metadata = make([]byte, data), make([]byte, metadata) })
	}
	small := eventstore.Limits{EventBytes: 10, AppendBytes: 15, AppendEvents: 3}
	for _, c := range []struct {
		what    string
		limits  eventstore.Limits
		appends []eventstore.StreamAppend
		field   string
	}{
		{"an event at the limit", small, appendTo("order-1", sized(4, 6)), ""},
		{"an event above it", small, appendTo("order-1", sized(5, 6)), "events[0].data"},
		{"an append at the limit", small, appendTo("order-1", sized(10, 0), sized(0, 5)), ""},
		{"an append above it", small, appendTo("order-1", sized(10, 0), sized(0, 6)), "events"},
		{"two appends above it", small, append(appendTo("order-1", sized(8, 0)), appendTo("order-2", sized(8, 0))...), "events"},
		{"as many events as allowed", small, appendTo("order-1", happened(), happened(), happened()), ""},
		{"more", small, append(appendTo("order-1", happened(), happened()), appendTo("order-2", happened(), happened())...), "events"},
		{"1 MiB", eventstore.Limits{}, appendTo("order-1", sized(1<<20, 0)), ""},
		{"more than 1 MiB", eventstore.Limits{}, appendTo("order-1", sized(1<<20, 1)), "events[0].data"},
		{"more than 1 MiB where allowed", eventstore.Limits{EventBytes: 2 << 20}, appendTo("order-1", sized(1<<20, 1)), ""},
	} {
		wantInvalid(t, c.what, c.limits.Validate(c.appends, eventstore.AppendOptions{}), c.field)
	}
	if got, want := (eventstore.Limits{AppendEvents: 7, EventBytes: -1}).WithDefaults(),
		(eventstore.Limits{EventBytes: 1 << 20, AppendBytes: 16 << 20, AppendEvents: 7}); got != want {
		t.Errorf("WithDefaults() = %+v, want %+v", got, want)
	}
}

func TestValidateStream(t *testing.T) {
	for name, field := range map[string]string{
		"order-1":                      "",
		"order":                        "",
		"-":                            "",
		"a$b":                          "",
		"Grüße 📦 '\"\\%_":              "",
		strings.Repeat("s", 512):       "",
		strings.Repeat("s", 513):       "stream",
		strings.Repeat("é", 256) + "s": "stream",
		"":                             "stream",
		"$order":                       "stream",
		"$$order":                      "stream",
		"order\x00":                    "stream",
		"order\t":                      "stream",
		"order\u0085":                  "stream",
		"order\xff":                    "stream",
		"order\xed\xa0\x80":            "stream",
	} {
		wantInvalid(t, "ValidateStream of "+name, eventstore.ValidateStream(name), field)
	}
}

func TestValidateReceipt(t *testing.T) {
	text := strings.Repeat("k", 256)
	for _, c := range []struct {
		what    string
		receipt eventstore.Receipt
		field   string
	}{
		{"the least", eventstore.Receipt{Scope: "s", Key: "k"}, ""},
		{"the most", eventstore.Receipt{Scope: text[1:], Key: text[1:], Fingerprint: make([]byte, 64), Answer: make([]byte, 64<<10)}, ""},
		{"a scope with '$'", eventstore.Receipt{Scope: "$s", Key: "$k"}, ""},
		{"no scope", eventstore.Receipt{Key: "k"}, "receipt.scope"},
		{"no key", eventstore.Receipt{Scope: "s"}, "receipt.key"},
		{"a long scope", eventstore.Receipt{Scope: text, Key: "k"}, "receipt.scope"},
		{"a long key", eventstore.Receipt{Scope: "s", Key: text}, "receipt.key"},
		{"NUL", eventstore.Receipt{Scope: "s", Key: "\x00"}, "receipt.key"},
		{"a long fingerprint", eventstore.Receipt{Scope: "s", Key: "k", Fingerprint: make([]byte, 65)}, "receipt.fingerprint"},
		{"a long answer", eventstore.Receipt{Scope: "s", Key: "k", Answer: make([]byte, 64<<10+1)}, "receipt.answer"},
	} {
		// With a receipt an append may have no events.
		err := eventstore.Limits{}.Validate(appendTo("order-1"), eventstore.AppendOptions{Receipt: &c.receipt})
		wantInvalid(t, c.what, err, c.field)
	}
}

func TestValidateReads(t *testing.T) {
	token := eventstore.Token{Log: uuid.New()}
	filter := eventstore.Filter{Types: []string{"Placed"}}
	for _, c := range []struct {
		opts                   eventstore.ReadOptions
		stream, all, subscribe string
	}{
		{eventstore.ReadOptions{}, "", "", ""},
		{eventstore.ReadOptions{From: 7, PageSize: 3}, "", "", ""},
		{eventstore.ReadOptions{From: -7}, "", "", ""},
		{eventstore.ReadOptions{Filter: filter}, "filter", "", ""},
		{eventstore.ReadOptions{After: token}, "after", "", ""},
		{eventstore.ReadOptions{Backwards: true, From: eventstore.End}, "", "", "backwards"},
		{eventstore.ReadOptions{Limit: 1}, "", "", "limit"},
		{eventstore.ReadOptions{Limit: -1}, "limit", "limit", "limit"},
		{eventstore.ReadOptions{PageSize: -1}, "page_size", "page_size", "page_size"},
		{eventstore.ReadOptions{PageBytes: -1}, "page_bytes", "page_bytes", "page_bytes"},
	} {
		wantInvalid(t, "ReadStream", c.opts.ValidateReadStream(), c.stream)
		wantInvalid(t, "ReadAll", c.opts.ValidateReadAll(), c.all)
		wantInvalid(t, "Subscribe", c.opts.ValidateSubscribe(), c.subscribe)
	}
}

func TestValidateMetadata(t *testing.T) {
	const most = eventstore.Seconds(9_223_372_036)
	for _, c := range []struct {
		metadata eventstore.StreamMetadata
		field    string
	}{
		{eventstore.StreamMetadata{}, ""},
		{eventstore.StreamMetadata{MaxCount: 1, MaxAge: most, TruncateBefore: 1}, ""},
		{eventstore.StreamMetadata{MaxCount: -1}, "metadata.$maxCount"},
		{eventstore.StreamMetadata{MaxAge: -1}, "metadata.$maxAge"},
		// More would be a negative time.Duration.
		{eventstore.StreamMetadata{MaxAge: most + 1}, "metadata.$maxAge"},
		{eventstore.StreamMetadata{TruncateBefore: -1}, "metadata.$tb"},
	} {
		wantInvalid(t, "metadata", c.metadata.Validate(), c.field)
	}
	if most.Duration() <= 0 {
		t.Errorf("%d seconds are %s", most, most.Duration())
	}
}
