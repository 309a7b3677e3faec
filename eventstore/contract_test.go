package eventstore_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

func TestExpectedVersionAccepts(t *testing.T) {
	for _, c := range []struct {
		expected                     eventstore.ExpectedVersion
		text                         string
		missing, zero, four, deleted bool // at version -1, 0, 4, and 4 deleted
	}{
		{eventstore.Any, "any version", true, true, true, true},
		{eventstore.NoStream, "no stream", true, false, false, true},
		{eventstore.Exact(-1), "no stream", true, false, false, true},
		{eventstore.StreamExists, "an existing stream", false, true, true, false},
		{eventstore.Exact(0), "version 0", false, true, false, false},
		{eventstore.Exact(4), "version 4", false, false, true, true},
		{eventstore.Exact(5), "version 5", false, false, false, false},
		{eventstore.Exact(-2), "version -2", false, false, false, false},
	} {
		got := []bool{c.expected.Accepts(-1, false), c.expected.Accepts(0, false), c.expected.Accepts(4, false), c.expected.Accepts(4, true)}
		for i, want := range []bool{c.missing, c.zero, c.four, c.deleted} {
			if got[i] != want {
				t.Errorf("%s: case %d is accepted: %t, want %t", c.expected, i, got[i], want)
			}
		}
		if c.expected.String() != c.text {
			t.Errorf("%#v is %q, want %q", c.expected, c.expected, c.text)
		}
	}
	if eventstore.Exact(-1) != eventstore.NoStream {
		t.Error("Exact(-1) is not NoStream")
	}
	if _, ok := eventstore.NoStream.Exact(); ok {
		t.Error("NoStream demands an exact version")
	}
	if n, ok := eventstore.Exact(7).Exact(); n != 7 || !ok {
		t.Errorf("Exact(7).Exact() = %d, %t", n, ok)
	}
}

func TestCategoryAndID(t *testing.T) {
	for stream, want := range map[string][2]string{
		"order-42":   {"order", "42"},
		"order-42-a": {"order", "42-a"},
		"order":      {"order", ""},
		"order-":     {"order", ""},
		"-42":        {"", "42"},
		"":           {"", ""},
		"$$order-42": {"$$order", "42"},
		"größe-é-1":  {"größe", "é-1"},
	} {
		if got := [2]string{eventstore.Category(stream), eventstore.StreamID(stream)}; got != want {
			t.Errorf("category and id of %q are %q, want %q", stream, got, want)
		}
	}
}

func TestFilterMatch(t *testing.T) {
	types := []string{"Placed", "Shipped"}
	for _, c := range []struct {
		filter            eventstore.Filter
		eventType, stream string
		want              bool
	}{
		{eventstore.Filter{}, "Placed", "order-1", true},
		{eventstore.Filter{Types: types}, "Shipped", "order-1", true},
		{eventstore.Filter{Types: types}, "Ship", "order-1", false},
		{eventstore.Filter{Types: types}, "shipped", "order-1", false},
		{eventstore.Filter{Categories: []string{"order"}}, "Placed", "order-1", true},
		{eventstore.Filter{Categories: []string{"order"}}, "Placed", "order", true},
		{eventstore.Filter{Categories: []string{"order"}}, "Placed", "orders-1", false},
		{eventstore.Filter{Categories: []string{"order"}}, "$metadata", "$$order-1", false},
		{eventstore.Filter{Categories: []string{""}}, "Placed", "-1", true},
		{eventstore.Filter{StreamPrefixes: []string{"stock", "order-1"}}, "Placed", "order-12", true},
		{eventstore.Filter{StreamPrefixes: []string{"order-1"}}, "Placed", "order-2", false},
		{eventstore.Filter{StreamPrefixes: []string{""}}, "Placed", "order-2", true},
		{eventstore.Filter{Types: types, Categories: []string{"order"}, StreamPrefixes: []string{"order-1"}}, "Placed", "order-1", true},
		{eventstore.Filter{Types: types, Categories: []string{"order"}, StreamPrefixes: []string{"order-1"}}, "Placed", "order-2", false},
		{eventstore.Filter{Types: types, Categories: []string{"stock"}, StreamPrefixes: []string{"order-1"}}, "Placed", "order-1", false},
		{eventstore.Filter{Types: types, Categories: []string{"order"}, StreamPrefixes: []string{"order-1"}}, "Paid", "order-1", false},
	} {
		if got := c.filter.Match(c.eventType, c.stream); got != c.want {
			t.Errorf("%+v picks %s of %s: %t, want %t", c.filter, c.eventType, c.stream, got, c.want)
		}
	}
	// A list that is not nil but empty demands nothing.
	if !(eventstore.Filter{Types: []string{}}).IsZero() || (eventstore.Filter{Categories: types}).IsZero() ||
		(eventstore.Filter{StreamPrefixes: types}).IsZero() || (eventstore.Filter{Types: types}).IsZero() {
		t.Error("IsZero does not tell which filters pick everything")
	}
}

func TestBatchToken(t *testing.T) {
	head := eventstore.Token{Log: uuid.New(), Incarnation: 2, Position: 90}
	want := eventstore.Token{Log: head.Log, Incarnation: 2, Position: 41}
	if got := (eventstore.Batch{Next: 42, Head: head}).Token(); got != want {
		t.Errorf("Token() = %+v, want %+v", got, want)
	}
}

func TestFirstShown(t *testing.T) {
	for _, c := range []struct {
		info eventstore.StreamInfo
		want int64
	}{
		{eventstore.StreamInfo{Version: 9}, 0},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{MaxCount: 3}}, 7},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{MaxCount: 10}}, 0},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{MaxCount: 99}}, 0},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{TruncateBefore: 4}}, 4},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{TruncateBefore: 99}}, 99},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{TruncateBefore: 4, MaxCount: 2}}, 8},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{TruncateBefore: 4, MaxCount: 8}}, 4},
		{eventstore.StreamInfo{Version: 9, FirstVersion: 6}, 6},
		{eventstore.StreamInfo{Version: 9, FirstVersion: 6, Metadata: eventstore.StreamMetadata{MaxCount: 2, TruncateBefore: 5}}, 8},
		{eventstore.StreamInfo{Version: 9, FirstVersion: 6, Metadata: eventstore.StreamMetadata{MaxCount: 7, TruncateBefore: 5}}, 6},
		{eventstore.StreamInfo{Version: 9, FirstVersion: 10, Deleted: true}, 10},
		{eventstore.StreamInfo{Version: 9, Metadata: eventstore.StreamMetadata{MaxAge: 1}}, 0},
	} {
		if got := c.info.FirstShown(); got != c.want {
			t.Errorf("FirstShown of %+v = %d, want %d", c.info, got, c.want)
		}
	}
}

// Other tools write and read this JSON: it is KurrentDB's.
func TestMetadataJSON(t *testing.T) {
	m := eventstore.StreamMetadata{MaxCount: 3, MaxAge: 60, TruncateBefore: 7}
	data, err := json.Marshal(m)
	if want := `{"$maxCount":3,"$maxAge":60,"$tb":7}`; err != nil || string(data) != want {
		t.Errorf("the JSON of %+v is %s, %v; want %s", m, data, err, want)
	}
	if data, err := json.Marshal(eventstore.StreamMetadata{}); err != nil || string(data) != "{}" {
		t.Errorf("the JSON of no metadata is %s, %v", data, err)
	}
}

func TestErrorsMatchTheirSentinels(t *testing.T) {
	all := []error{
		eventstore.ErrInvalid, eventstore.ErrConflict, eventstore.ErrIDReused, eventstore.ErrReceiptKnown, eventstore.ErrReceiptMismatch,
		eventstore.ErrStreamNotFound, eventstore.ErrStreamDeleted, eventstore.ErrLogChanged, eventstore.ErrUnknownType, eventstore.ErrUnknownVersion,
	}
	for _, c := range []struct {
		err  error
		text string
		want []error
	}{
		{&eventstore.InvalidError{Field: "stream", Reason: "must not be empty"}, "invalid input: stream must not be empty", []error{eventstore.ErrInvalid}},
		{&eventstore.ConflictError{Stream: "a", Expected: eventstore.Exact(3), Actual: 5}, `stream "a" is at version 5, expected version 3`, []error{eventstore.ErrConflict}},
		{&eventstore.ConflictError{Stream: "a", Expected: eventstore.StreamExists, Actual: -1}, `stream "a" does not exist, expected an existing stream`, []error{eventstore.ErrConflict}},
		{&eventstore.StreamDeletedError{Stream: "a"}, `stream "a" is deleted`, []error{eventstore.ErrStreamDeleted, eventstore.ErrStreamNotFound}},
		{&eventstore.StreamDeletedError{Stream: "a", Tombstoned: true}, `stream "a" is deleted for ever`, []error{eventstore.ErrStreamDeleted}},
		{&eventstore.IDReusedError{Stream: "a", Reason: "it is stored"}, `event id 00000000-0000-0000-0000-000000000000 in stream "a": it is stored; use a new id for a new event`, []error{eventstore.ErrIDReused}},
		{&eventstore.ReceiptKnownError{}, `receipt "" of "" was stored at 0001-01-01 00:00:00 +0000 UTC`, []error{eventstore.ErrReceiptKnown}},
		{&eventstore.ReceiptMismatchError{Scope: "s", Key: "k"}, `idempotency key "k" was used for another request; use a new key`, []error{eventstore.ErrReceiptMismatch}},
		{&eventstore.LogChangedError{LastCommon: -1}, "the token is of log 00000000-0000-0000-0000-000000000000, this is log 00000000-0000-0000-0000-000000000000", []error{eventstore.ErrLogChanged}},
		{&eventstore.LogChangedError{Token: eventstore.Token{Incarnation: 1, Position: 9}, LastCommon: 7}, "the log was restored: position 9 of incarnation 1 is beyond the last common position 7", []error{eventstore.ErrLogChanged}},
		{&eventstore.UnknownTypeError{Type: "Sold"}, `event type "Sold" is not known; register it with NewCodec`, []error{eventstore.ErrUnknownType}},
		{&eventstore.UnknownVersionError{Type: "Sold", Version: 4, Oldest: 2, Newest: 3}, `event type "Sold" has schema version 4, only 2 to 3 are known; add an upcaster or run a newer program`, []error{eventstore.ErrUnknownVersion}},
	} {
		if c.err.Error() != c.text {
			t.Errorf("%T says %q, want %q", c.err, c.err, c.text)
		}
		for _, sentinel := range all {
			want := false
			for _, w := range c.want {
				want = want || w == sentinel
			}
			if errors.Is(c.err, sentinel) != want {
				t.Errorf("%T matches %q: %t, want %t", c.err, sentinel, !want, want)
			}
		}
	}
}
