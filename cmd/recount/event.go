package main

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// event is a recorded event as JSON.
type event struct {
	Position      int64     `json:"position"`
	Stream        string    `json:"stream"`
	Version       int64     `json:"version"`
	ID            uuid.UUID `json:"id"`
	Type          string    `json:"type"`
	SchemaVersion int       `json:"schema_version"`
	ContentType   string    `json:"content_type"`
	RecordedAt    time.Time `json:"recorded_at"`
	// Bytes that are JSON are shown as they are, others in base64.
	Data           json.RawMessage `json:"data,omitempty"`
	DataBase64     []byte          `json:"data_base64,omitempty"`
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	MetadataBase64 []byte          `json:"metadata_base64,omitempty"`
}

func eventOf(r eventstore.RecordedEvent) event {
	e := event{
		Position: r.Position, Stream: r.Stream, Version: r.Version, ID: r.ID, Type: r.Type,
		SchemaVersion: r.SchemaVersion, ContentType: r.ContentType, RecordedAt: r.RecordedAt.UTC(),
	}
	e.Data, e.DataBase64 = asJSON(r.Data)
	e.Metadata, e.MetadataBase64 = asJSON(r.Metadata)
	return e
}

// asJSON returns bytes as JSON if they are that, else as the other result.
func asJSON(b []byte) (json.RawMessage, []byte) {
	if utf8.Valid(b) && json.Valid(b) {
		return b, nil
	}
	return nil, b
}

// summary is as much of an event's data as a table shows.
func (e event) summary() string {
	const limit = 100
	if e.Data == nil && len(e.DataBase64) > 0 {
		return fmt.Sprintf("(%d bytes of %s)", len(e.DataBase64), cell(e.ContentType, 60))
	}
	return cell(string(e.Data), limit)
}

// timeFormat is that of tables: UTC, as everywhere.
const timeFormat = "2006-01-02T15:04:05.000Z"
