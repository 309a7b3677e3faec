package delivery

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
)

// noKey is the key of events that have none: they share it.
const noKey = "(none)"

// selector is which events a subscription wants, and by what they are kept in order. It looks at events as
// the log has them, before anybody upcasts them.
type selector struct {
	// pattern is nil for all events but those of the store.
	pattern *pattern.Pattern
	// also, if not nil, is a pattern that events must match as well.
	also *pattern.Pattern
	key  func(*eventstore.RecordedEvent) string
}

func newSelector(d *Definition) (*selector, error) {
	s := &selector{}
	if len(d.Filter) > 0 && string(d.Filter) != "null" {
		var err error
		if s.pattern, err = pattern.Compile(d.Filter); err != nil {
			return nil, err
		}
	}
	switch {
	case d.Key.Path != "":
		path := splitPointer(d.Key.Path)
		s.key = func(e *eventstore.RecordedEvent) string { return keyAt(e, path) }
	case d.Key.By == ByNone:
		s.key = func(e *eventstore.RecordedEvent) string { return strconv.FormatInt(e.Position, 10) }
	default:
		s.key = func(e *eventstore.RecordedEvent) string { return e.Stream }
	}
	return s, nil
}

// keyOf returns the key of an event, as rows have it.
func (s *selector) keyOf(e *eventstore.RecordedEvent) string {
	key := s.key(e)
	if key == "" {
		return noKey
	}
	if strings.IndexByte(key, 0) >= 0 { // PostgreSQL has no text with it
		key = strings.ReplaceAll(key, "\x00", "\\u0000")
	}
	return core.KeyOf(key)
}

// isSystem reports whether an event is of the store.
func isSystem(e *eventstore.RecordedEvent) bool { return isSystemType(e.Type) }

func isSystemType(name string) bool { return strings.HasPrefix(name, "$") }

// PatternEvent returns what a pattern looks at of an event. It shares the bytes of the event.
func PatternEvent(e *eventstore.RecordedEvent) pattern.Event {
	return pattern.Event{
		Position: e.Position, Stream: e.Stream, Category: eventstore.Category(e.Stream), Version: e.Version, ID: e.ID, Type: e.Type,
		SchemaVersion: e.SchemaVersion, RecordedAt: e.RecordedAt, Metadata: orNil(e.Metadata), Data: orNil(e.Data),
	}
}

// splitPointer returns the steps of a JSON pointer.
func splitPointer(pointer string) []string {
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, s := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps
}

// keyAt returns the member of the event at a path as text; "" if there is none.
func keyAt(e *eventstore.RecordedEvent, path []string) string {
	if len(path) > 1 {
		switch path[0] {
		case "data":
			return memberAt(e.Data, path[1:])
		case "metadata":
			return memberAt(e.Metadata, path[1:])
		}
		return ""
	}
	switch path[0] {
	case "position":
		return strconv.FormatInt(e.Position, 10)
	case "stream":
		return e.Stream
	case "category":
		return eventstore.Category(e.Stream)
	case "version":
		return strconv.FormatInt(e.Version, 10)
	case "id":
		return e.ID.String()
	case "type":
		return e.Type
	case "schema_version":
		return strconv.Itoa(e.SchemaVersion)
	case "data":
		return memberAt(e.Data, nil)
	case "metadata":
		return memberAt(e.Metadata, nil)
	}
	return ""
}

// memberAt returns the member of a JSON text at a path: of a string its text, of what is no string
// its canonical form. It is "" where there is none, where it is null, and of bytes that are no JSON.
func memberAt(text []byte, path []string) string {
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	found, err := memberOf(d, path)
	if err != nil {
		return ""
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return ""
	}
	switch found.Kind() {
	case 'n', 0:
		return ""
	case '"':
		unquoted, err := jsontext.AppendUnquote(nil, found)
		if err != nil {
			return ""
		}
		return string(unquoted)
	}
	if found.Canonicalize(jsontext.AllowDuplicateNames(true)) != nil {
		return ""
	}
	return string(found)
}

// valueAt returns the member of the event at a path as JSON, with all digits of numbers; nil if there is none.
func valueAt(e *eventstore.RecordedEvent, path []string) jsontext.Value {
	if len(path) > 1 {
		text := e.Metadata
		if path[0] == "data" {
			text = e.Data
		} else if path[0] != "metadata" {
			return nil
		}
		found, err := memberOf(jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)), path[1:])
		if err != nil {
			return nil
		}
		return found
	}
	switch path[0] {
	case "recorded_at":
		return jsontext.Value(e.RecordedAt.AppendFormat([]byte{'"'}, time.RFC3339Nano+`"`))
	case "position", "version", "schema_version":
		return jsontext.Value(keyAt(e, path))
	}
	text, _ := jsontext.AppendQuote(nil, keyAt(e, path))
	return text
}

// memberOf reads the next value whole, and returns the member at a path; nil: there is none. Of names that an object has twice, the last counts.
func memberOf(d *jsontext.Decoder, path []string) (found jsontext.Value, err error) {
	if len(path) == 0 {
		value, err := d.ReadValue()
		return value.Clone(), err
	}
	kind := d.PeekKind()
	if kind != '{' && kind != '[' {
		return nil, d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for i := 0; d.PeekKind() != '}' && d.PeekKind() != ']'; i++ {
		step := strconv.Itoa(i)
		if kind == '{' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			step = name.String()
		}
		if step != path[0] {
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
			continue
		}
		if found, err = memberOf(d, path[1:]); err != nil {
			return nil, err
		}
	}
	_, err = d.ReadToken()
	return found, err
}
