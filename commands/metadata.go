package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Metadata is what every event of a command carries beside its data, as a JSON
// object. Members that do not apply are left out:
//
//	{
//	  "correlation_id": "0193…",             // always there
//	  "causation_id": "…",
//	  "actor": "…",
//	  "via": "saga checkout, step authorize",
//	  "at": "2011-12-09T12:50:00Z",          // RFC 3339, UTC, to the microsecond
//	  "traceparent": "00-4bf9…-00f0…-01",    // W3C Trace Context
//	  "tracestate": "…"
//	}
type Metadata struct {
	CorrelationID string    `json:"correlation_id"`
	CausationID   string    `json:"causation_id,omitempty"`
	Actor         string    `json:"actor,omitempty"`
	Via           string    `json:"via,omitempty"`
	At            time.Time `json:"at,omitzero"`
	TraceParent   string    `json:"traceparent,omitempty"`
	TraceState    string    `json:"tracestate,omitempty"`
}

// ParseMetadata reads the metadata of an event. No bytes are the zero Metadata;
// members it does not know are ignored. Anything but a JSON object with members
// of the right types is an error.
func ParseMetadata(data []byte) (Metadata, error) {
	var m Metadata
	if len(data) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return Metadata{}, fmt.Errorf("parse event metadata: %w", err)
	}
	if bytes.TrimSpace(data)[0] != '{' { // null, which encoding/json takes for anything
		return Metadata{}, errors.New("parse event metadata: it is no JSON object")
	}
	return m, nil
}

// metadata renders the metadata that all events of one command share.
func (o Options) metadata() ([]byte, error) {
	m := Metadata{
		CorrelationID: o.CorrelationID,
		CausationID:   o.CausationID,
		Actor:         o.Actor,
		Via:           o.Via,
		At:            eventstore.Microseconds(o.At),
		TraceParent:   o.TraceParent,
		TraceState:    o.TraceState,
	}
	if m.CorrelationID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make a correlation id: %w", err)
		}
		m.CorrelationID = id.String()
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode event metadata: %w", err)
	}
	return data, nil
}
