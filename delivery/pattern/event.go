package pattern

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is what patterns are about: the members of the envelope in which an event is delivered.
type Event struct {
	Position      int64
	Stream        string
	Category      string
	Version       int64
	ID            [16]byte // a UUID
	Type          string
	SchemaVersion int
	// RecordedAt is matched as text in UTC, as in 2026-01-02T15:04:05.123456Z, without zeros at the end.
	RecordedAt time.Time
	// Metadata and Data are JSON; nil: the envelope has no such member.
	Metadata, Data []byte
}

// envelope are the names of the members, those that have none inside first.
var envelope = [...]string{"position", "stream", "category", "version", "id", "type", "schema_version", "recorded_at", "metadata", "data"}

const (
	fieldPosition = iota
	fieldStream
	fieldCategory
	fieldVersion
	fieldID
	fieldType
	fieldSchemaVersion
	fieldRecordedAt
	fieldMetadata
	fieldData
	fields
)

// ParseEvent returns the event that an envelope in JSON is. Members that it leaves out are zero; a
// category left out is that of the stream: what is before the first hyphen. What else an event has when
// it is delivered may be there as well, and data_base64 and metadata_base64 for bytes that are no JSON.
// Its errors are of type *Error.
func ParseEvent(envelopeJSON []byte) (e Event, err error) {
	var members map[string]json.RawMessage
	if !utf8.Valid(envelopeJSON) {
		return e, errorAt("", "it is not UTF-8")
	}
	if err := json.Unmarshal(envelopeJSON, &members); err != nil || members == nil {
		return e, errorAt("", "an event is an object with the members %s: %s", strings.Join(envelope[:], ", "), orNull(err))
	}
	var id string
	var metadata, data []byte
	into := map[string]any{
		"position": &e.Position, "stream": &e.Stream, "category": &e.Category, "version": &e.Version, "id": &id, "type": &e.Type,
		"schema_version": &e.SchemaVersion, "recorded_at": &e.RecordedAt, "content_type": new(string), "message_id": new(string),
		"metadata": (*json.RawMessage)(&e.Metadata), "data": (*json.RawMessage)(&e.Data), "metadata_base64": &metadata, "data_base64": &data,
	}
	for name, text := range members {
		to, ok := into[name]
		if !ok {
			return e, errorAt(pointerStep(name), "an event has no such member: its members are %s; what your application wrote is inside data", strings.Join(envelope[:], ", "))
		}
		if name != "data" && name != "metadata" && bytes.Equal(text, []byte("null")) {
			return e, errorAt(pointerStep(name), "it is null: leave it out, or give it a value")
		}
		if err := json.Unmarshal(text, to); err != nil {
			return e, errorAt(pointerStep(name), "it is not of the right type: %s", err)
		}
	}
	if id != "" {
		digits := strings.ReplaceAll(id, "-", "")
		if n, err := hex.Decode(e.ID[:], []byte(digits[:min(len(digits), 32)])); err != nil || n != 16 || len(digits) != 32 || len(id) != 36 {
			return e, errorAt("/id", "it is no UUID of 36 characters: %s", quote(id))
		}
	}
	if _, ok := members["category"]; !ok {
		e.Category, _, _ = strings.Cut(e.Stream, "-")
	}
	e.Metadata, e.Data = slices.Concat(e.Metadata, metadata), slices.Concat(e.Data, data)
	return e, nil
}

func orNull(err error) error {
	if err == nil {
		return fmt.Errorf("it is null")
	}
	return err
}

// appendUUID writes an id the way that all write it.
func appendUUID(to []byte, id [16]byte) []byte {
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			to = append(to, '-')
		}
		to = hex.AppendEncode(to, part)
	}
	return to
}
