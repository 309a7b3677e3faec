package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/57528e99/recount/delivery/internal/cloudevents"
)

// Message is one that a broker has handed over.
type Message struct {
	// Place is where it is, the same whenever it comes again: topic, partition and offset, or stream and sequence. Empty: nobody knows.
	Place string
	// ID is what its sender knows it by; empty: it has none.
	ID string
	// Topic is what it was published to, Key what it was kept in order by.
	Topic, Key string
	// ContentType is that of Body. A CloudEvent in structured mode is told by it.
	ContentType string
	// CloudEvent are the attributes of a CloudEvent in binary mode, by their names.
	CloudEvent map[string]string
	Body       []byte
}

type cloudEvent struct {
	attributes  map[string]string
	contentType string
	data        []byte
}

// cloudEvent returns the message as a CloudEvent, without attributes if it is none.
func (m *Message) cloudEvent() (cloudEvent, error) {
	kind, _, _ := mime.ParseMediaType(m.ContentType)
	switch {
	case kind == "application/cloudevents+json":
		return structured(m.Body)
	case strings.HasPrefix(kind, "application/cloudevents"):
		return cloudEvent{}, fmt.Errorf("the message is %s, and of CloudEvents in structured mode JSON is known", kind)
	}
	return cloudEvent{m.CloudEvent, m.ContentType, m.Body}, nil
}

// structured reads a CloudEvent in structured mode.
func structured(body []byte) (cloudEvent, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return cloudEvent{}, fmt.Errorf("the message is no CloudEvent: %w", err)
	}
	c := cloudEvent{attributes: make(map[string]string)}
	for name, value := range members {
		if name == "data" || name == "data_base64" {
			continue
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(bytes.TrimSpace(value)) // numbers and booleans as they are
		}
		c.attributes[name] = text
	}
	if c.attributes["id"] == "" || c.attributes["type"] == "" {
		return cloudEvent{}, errors.New("the message is no CloudEvent: it has no id or no type")
	}
	c.contentType = c.attributes["datacontenttype"]
	c.data = members["data"]
	// Of another type than JSON, a text is the data; what is no text was meant as JSON.
	if text := ""; c.contentType != "" && !cloudevents.IsJSON(c.contentType) && len(c.data) > 0 && c.data[0] == '"' {
		if err := json.Unmarshal(c.data, &text); err != nil {
			return cloudEvent{}, fmt.Errorf("data of the CloudEvent cannot be read: %w", err)
		}
		c.data = []byte(text)
	}
	if encoded := members["data_base64"]; encoded != nil {
		if err := json.Unmarshal(encoded, &c.data); err != nil {
			return cloudEvent{}, fmt.Errorf("data_base64 of the CloudEvent cannot be read: %w", err)
		}
	}
	if c.contentType == "" && len(c.data) > 0 {
		c.contentType = "application/json"
	}
	return c, nil
}
