package logapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

// described is what an event looks like when it is read, for those who read what there is. Data and metadata that are JSON are as they
// were sent, byte for byte, others in base64; those that are empty are left out.
type described struct {
	Position       int64          `json:"position"`
	Stream         string         `json:"stream"`
	Category       string         `json:"category"`
	Version        int64          `json:"version"`
	ID             uuid.UUID      `json:"id"`
	Type           string         `json:"type"`
	SchemaVersion  int            `json:"schema_version"`
	ContentType    string         `json:"content_type"`
	RecordedAt     time.Time      `json:"recorded_at"`
	Data           jsontext.Value `json:"data,omitzero"`
	DataBase64     []byte         `json:"data_base64,omitzero"`
	Metadata       jsontext.Value `json:"metadata,omitzero"`
	MetadataBase64 []byte         `json:"metadata_base64,omitzero"`
}

// event is an event as an answer.
type event struct{ recorded eventstore.RecordedEvent }

// AppendJSON implements httpapi.Raw.
func (e event) AppendJSON(to []byte) []byte {
	return appendEvent(to, &e.recorded, httpapi.Embeds)
}

// appendEvent appends an event, with data and metadata as they were sent where they can be, and data only if they are said to be JSON: who reads
// bytes gets those that were sent.
func appendEvent(to []byte, e *eventstore.RecordedEvent, asSent func([]byte) bool) []byte {
	kind, _, _ := strings.Cut(strings.ToLower(e.ContentType), ";")
	kind = strings.TrimSpace(kind)
	isJSON := kind == eventstore.ContentTypeJSON || strings.HasSuffix(kind, "+json")
	return (&delivery.Event{RecordedEvent: e}).AppendAs(to, isJSON && asSent(e.Data), asSent(e.Metadata))
}

// list is events as a part of an answer.
type list []eventstore.RecordedEvent

func (l list) appendTo(to []byte) []byte {
	to = append(to, `{"items":[`...)
	for i, e := range l {
		if i > 0 {
			to = append(to, ',')
		}
		to = event{e}.AppendJSON(to)
	}
	return append(to, ']')
}

func appendNumber(to []byte, name string, n int64) []byte {
	to = append(append(append(to, `,"`...), name...), `":`...)
	return strconv.AppendInt(to, n, 10)
}
