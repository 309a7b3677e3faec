package logapi

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// eventBody is an event as it is sent. Data are in Data if they are JSON, or in DataBase64.
type eventBody struct {
	ID            *uuid.UUID     `json:"id"`
	Type          string         `json:"type"`
	SchemaVersion *int           `json:"schema_version"`
	ContentType   string         `json:"content_type"`
	Data          jsontext.Value `json:"data"`
	DataBase64    []byte         `json:"data_base64"`
	// Metadata of null are none.
	Metadata       jsontext.Value `json:"metadata"`
	MetadataBase64 []byte         `json:"metadata_base64"`
}

func isNull(v jsontext.Value) bool { return bytes.Equal(v, []byte("null")) }

// isZero reports whether no member was sent.
func (b *eventBody) isZero() bool {
	return b.ID == nil && b.Type == "" && b.SchemaVersion == nil && b.ContentType == "" && b.Data == nil && b.DataBase64 == nil &&
		b.Metadata == nil && b.MetadataBase64 == nil
}

// event returns the event that was sent, or a *memberError.
func (b *eventBody) event() (e eventstore.Event, err error) {
	if isNull(b.Metadata) {
		b.Metadata = nil
	}
	switch {
	case b.Type == "":
		return e, &memberError{"/type", "must be given"}
	case b.ID != nil && *b.ID == uuid.Nil:
		return e, &memberError{"/id", "must not be all zeros; leave it out, and one is made"}
	case b.SchemaVersion != nil && *b.SchemaVersion < 1:
		return e, &memberError{"/schema_version", "must be from 1 to 32768"}
	case b.DataBase64 != nil && b.Data != nil && !isNull(b.Data):
		return e, &memberError{"/data_base64", "must not be given beside data"}
	case b.DataBase64 != nil && b.ContentType == "":
		return e, &memberError{"/content_type", "must be given beside data_base64: what the bytes are"}
	case b.MetadataBase64 != nil && b.Metadata != nil:
		return e, &memberError{"/metadata_base64", "must not be given beside metadata"}
	}
	e = eventstore.Event{Type: b.Type, ContentType: b.ContentType, Data: b.Data, Metadata: b.Metadata}
	if b.ID != nil {
		e.ID = *b.ID
	}
	if b.SchemaVersion != nil {
		e.SchemaVersion = *b.SchemaVersion
	}
	if b.DataBase64 != nil {
		e.Data = b.DataBase64
	}
	if b.MetadataBase64 != nil {
		e.Metadata = b.MetadataBase64
	}
	return e, nil
}

// expectation is what an append demands of a stream: "any", "no_stream", "stream_exists", or a version.
type expectation struct{ version eventstore.ExpectedVersion }

var expectations = map[string]eventstore.ExpectedVersion{
	`"any"`: eventstore.Any, `"no_stream"`: eventstore.NoStream, `"stream_exists"`: eventstore.StreamExists,
}

// UnmarshalJSON reads one.
func (x *expectation) UnmarshalJSON(text []byte) error {
	if known, ok := expectations[string(text)]; ok {
		x.version = known
		return nil
	}
	version, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || version < 0 {
		return errors.New(`must be "any", "no_stream", "stream_exists", or a version from 0 on`)
	}
	x.version = eventstore.Exact(version)
	return nil
}

// isSaid reports whether it was sent.
func (x expectation) isSaid() bool { return x != expectation{} }

// orAny returns what is demanded; nothing, if nothing was sent.
func (x expectation) orAny() eventstore.ExpectedVersion {
	return cmp.Or(x.version, eventstore.Any)
}

// streamBody is one event, or several in Events, for the stream in the path.
type streamBody struct {
	eventBody
	Events   []eventBody `json:"events"`
	Expected expectation `json:"expected"`
	DedupKey string      `json:"dedup_key"`

	events []eventstore.Event
}

// Validate implements httpapi.Validator.
func (b *streamBody) Validate() (err error) {
	if b.Events != nil && !b.isZero() {
		return &memberError{"/events", "must stand beside expected and dedup_key alone: each event has its own type, id, data and metadata"}
	}
	if b.Events != nil {
		b.events, err = eventsOf("", b.Events)
		return err
	}
	b.events = make([]eventstore.Event, 1)
	if b.events[0], err = b.event(); err != nil {
		return err
	}
	return check("", true, b.events)
}

// appendsBody is events for several streams.
type appendsBody struct {
	Appends []appendBody `json:"appends" http:"required"`

	appends []eventstore.StreamAppend
}

// appendBody is those for one of them. Events may be none, beside others that has some: then it is only looked at.
type appendBody struct {
	Stream   string      `json:"stream" http:"required"`
	Events   []eventBody `json:"events" http:"required"`
	Expected expectation `json:"expected"`
}

// Validate implements httpapi.Validator.
func (b *appendsBody) Validate() error {
	total := 0
	for i := range b.Appends {
		at := "/appends/" + strconv.Itoa(i)
		if err := eventstore.ValidateStream(b.Appends[i].Stream); err != nil {
			return blamed(at, false, err)
		}
		a := eventstore.StreamAppend{Stream: b.Appends[i].Stream, Expected: b.Appends[i].Expected.orAny()}
		if len(b.Appends[i].Events) > 0 {
			var err error
			if a.Events, err = eventsOf(at, b.Appends[i].Events); err != nil {
				return err
			}
		}
		total += len(a.Events)
		b.appends = append(b.appends, a)
	}
	if total == 0 {
		return &memberError{"/appends", "must have one event or more"}
	}
	return nil
}

func eventsOf(at string, bodies []eventBody) ([]eventstore.Event, error) {
	if len(bodies) == 0 {
		return nil, &memberError{at + "/events", "must have one event or more"}
	}
	events := make([]eventstore.Event, len(bodies))
	for i := range bodies {
		var err error
		if events[i], err = bodies[i].event(); err != nil {
			var wrong *memberError
			errors.As(err, &wrong)
			return nil, &memberError{fmt.Sprintf("%s/events/%d%s", at, i, wrong.pointer), wrong.reason}
		}
	}
	return events, check(at, false, events)
}

// check finds what no store would take, whatever the stream.
func check(at string, isAlone bool, events []eventstore.Event) error {
	return blamed(at, isAlone, eventstore.Limits{}.Validate([]eventstore.StreamAppend{{Stream: "a", Expected: eventstore.Any, Events: events}}, eventstore.AppendOptions{}))
}

var fieldPattern = regexp.MustCompile(`^events\[(\d+)\]\.(.*)$`)

// blamed makes of an *eventstore.InvalidError one that names the place in the body.
func blamed(at string, isAlone bool, err error) error {
	var invalid *eventstore.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	field := "/" + invalid.Field
	if m := fieldPattern.FindStringSubmatch(invalid.Field); m != nil {
		if field = "/" + m[2]; !isAlone {
			field = "/events/" + m[1] + field
		}
	}
	return &memberError{at + field, invalid.Reason}
}

// memberError says what is wrong with a member of the body.
type memberError struct{ pointer, reason string }

func (e *memberError) Error() string { return e.pointer + " " + e.reason + "." }

// InvalidField implements httpapi.FieldBlamer.
func (e *memberError) InvalidField() (pointer, reason string) { return e.pointer, e.reason }
