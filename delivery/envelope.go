package delivery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// AppendJSON appends the event as receivers get it, the same in each attempt, as a JSON object:
//
//	{"position":7, "stream":"order-1001", "category":"order", "version":0, "id":"…", "type":"OrderPlaced",
//	 "schema_version":1, "content_type":"application/json", "recorded_at":"2026-01-02T15:04:05.123456Z",
//	 "message_id":"…", "data":{…}, "metadata":{…}}
//
// What was found for it, see Definition.Enrich, is the member enriched. Data and metadata that are JSON are there as they were written, others in base64, as data_base64 and
// metadata_base64; those that are empty are left out, as is a message_id that is Nil.
func (e *Event) AppendJSON(to []byte) []byte { return e.appendJSON(to, IsJSON) }

// AppendLine appends the event as AppendJSON does, but in one line of which ParseEvent makes the same bytes again: JSON is in base64 too if it has
// line breaks, or space around it.
func (e *Event) AppendLine(to []byte) []byte { return e.appendJSON(to, isLine) }

func isLine(b []byte) bool {
	return bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 && len(bytes.TrimSpace(b)) == len(b) && IsJSON(b)
}

func (e *Event) appendJSON(to []byte, asItIs func([]byte) bool) []byte {
	return e.AppendAs(to, asItIs(e.Data), asItIs(e.Metadata))
}

// AppendAs appends the event as AppendJSON does, with data and metadata as they were written where the caller says so, who knows that they are
// JSON, else in base64.
func (e *Event) AppendAs(to []byte, data, metadata bool) []byte {
	to = strconv.AppendInt(append(to, `{"position":`...), e.Position, 10)
	to = appendString(append(to, `,"stream":`...), e.Stream)
	to = appendString(append(to, `,"category":`...), eventstore.Category(e.Stream))
	to = strconv.AppendInt(append(to, `,"version":`...), e.Version, 10)
	to = appendString(append(to, `,"id":`...), e.ID.String())
	to = appendString(append(to, `,"type":`...), e.Type)
	to = strconv.AppendInt(append(to, `,"schema_version":`...), int64(e.SchemaVersion), 10)
	to = appendString(append(to, `,"content_type":`...), e.ContentType)
	to = e.RecordedAt.UTC().AppendFormat(append(to, `,"recorded_at":"`...), time.RFC3339Nano)
	to = append(to, '"')
	if e.MessageID != uuid.Nil { // it is no delivery, but the event as the log has it
		to = appendString(append(to, `,"message_id":`...), e.MessageID.String())
	}
	to = appendBytes(to, "data", e.Data, data)
	to = appendBytes(to, "metadata", e.Metadata, metadata)
	if e.Enriched != nil {
		to = append(append(to, `,"enriched":`...), e.Enriched...)
	}
	return append(to, '}')
}

// ParseEvent reads an event as AppendJSON writes it. Members that it does not know are left out.
func ParseEvent(text []byte) (Event, error) {
	var e struct {
		Position       int64          `json:"position"`
		Stream         string         `json:"stream"`
		Version        int64          `json:"version"`
		ID             uuid.UUID      `json:"id"`
		Type           string         `json:"type"`
		SchemaVersion  int            `json:"schema_version"`
		ContentType    string         `json:"content_type"`
		RecordedAt     time.Time      `json:"recorded_at"`
		MessageID      uuid.UUID      `json:"message_id"`
		Data           jsontext.Value `json:"data"`
		DataBase64     []byte         `json:"data_base64"`
		Metadata       jsontext.Value `json:"metadata"`
		MetadataBase64 []byte         `json:"metadata_base64"`
	}
	if err := jsonv2.Unmarshal(text, &e, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return Event{}, fmt.Errorf("read an event: %w", err)
	}
	r := &eventstore.RecordedEvent{Position: e.Position, Stream: e.Stream, Version: e.Version, RecordedAt: e.RecordedAt.UTC()}
	r.ID, r.Type, r.SchemaVersion, r.ContentType = e.ID, e.Type, e.SchemaVersion, e.ContentType
	r.Data, r.Metadata = append(e.DataBase64, e.Data...), append(e.MetadataBase64, e.Metadata...)
	return Event{RecordedEvent: r, MessageID: e.MessageID}, nil
}

// IsJSON reports whether bytes are JSON text that can be put into other JSON text.
func IsJSON(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

func appendString(to []byte, s string) []byte {
	// Its error is about bytes that are not UTF-8, in whose place U+FFFD is written.
	to, _ = jsontext.AppendQuote(to, s)
	return to
}

func appendBytes(to []byte, name string, b []byte, asItIs bool) []byte {
	switch {
	case len(b) == 0:
		return to
	case asItIs:
		to = append(append(append(to, `,"`...), name...), `":`...)
		return append(to, b...)
	}
	to = append(append(append(to, `,"`...), name...), `_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(to, b), '"')
}
