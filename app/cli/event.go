package cli

import (
	"encoding/json"
	"fmt"
	"io"
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

// summary is as much of an event's data as a table shows.
func (e event) summary() string {
	const limit = 100
	if e.Data == nil && len(e.DataBase64) > 0 {
		return fmt.Sprintf("(%d bytes of %s)", len(e.DataBase64), Cell(e.ContentType, 60))
	}
	return Cell(string(e.Data), limit)
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

func printEventHeader(w io.Writer, out Output) error {
	if out.JSON() {
		return nil
	}
	_, err := fmt.Fprintf(w, "%-8s %-24s %-24s %7s  %-16s %s\n", "POSITION", "RECORDED", "STREAM", "VERSION", "TYPE", "DATA")
	return err
}

// printEvent prints an event on a line of its own, at once: others may wait for it.
func printEvent(w io.Writer, out Output, e event) error {
	if out.JSON() {
		return encoder(w).Encode(e)
	}
	_, err := fmt.Fprintf(w, "%-8d %s %-24s %7d  %-16s %s\n",
		e.Position, e.RecordedAt.Format(timeFormat), e.Stream, e.Version, Cell(e.Type, 60), e.summary())
	return err
}
