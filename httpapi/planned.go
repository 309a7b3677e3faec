package httpapi

import (
	"bytes"
	"cmp"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/eventstore"
)

// planned is the answer to a dry run.
type planned struct {
	Events []plannedEvent `json:"events"`
}

// plannedEvent has data that are JSON in Data, and others in DataBase64.
type plannedEvent struct {
	Stream        string         `json:"stream"`
	Type          string         `json:"type"`
	SchemaVersion int            `json:"schema_version"`
	Data          jsontext.Value `json:"data"`
	DataBase64    []byte         `json:"data_base64,omitzero"`
}

func planOf(stream string, e eventstore.Event) plannedEvent {
	p := plannedEvent{Stream: stream, Type: e.Type, SchemaVersion: cmp.Or(e.SchemaVersion, 1), Data: e.Data}
	if len(e.Data) > 0 && !Embeds(e.Data) {
		p.Data, p.DataBase64 = nil, e.Data
	}
	return p
}

// maxEmbedded is how deep JSON may be within an answer: readers have limits of their own.
const maxEmbedded = 100

// Embeds reports whether bytes can be part of an answer as they are: one JSON value in UTF-8, with no space around it, of which no object has a name
// twice, and which is up to 100 arrays and objects deep.
func Embeds(b []byte) bool {
	if len(bytes.TrimSpace(b)) != len(b) {
		return false
	}
	d := jsontext.NewDecoder(bytes.NewReader(b))
	for values := 0; ; {
		switch _, err := d.ReadToken(); {
		case errors.Is(err, io.EOF):
			return values == 1
		case err != nil || d.StackDepth() > maxEmbedded:
			return false
		}
		if d.StackDepth() == 0 {
			values++
		}
	}
}
