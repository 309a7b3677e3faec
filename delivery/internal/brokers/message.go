package brokers

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/cloudevents"
	"github.com/57528e99/recount/eventstore"
)

// Header is a name and a value.
type Header = cloudevents.Attribute

// Message is an event as a broker gets it.
type Message struct {
	ContentType string
	// Headers are CloudEvents attributes in binary mode, and what the attempt is. Names are lower case, but for the prefix.
	Headers []Header
	// Body may be the event's data itself.
	Body []byte
}

// Encoding is how a target writes events.
type Encoding struct {
	Format delivery.HTTPFormat
	// Prefix begins the names of headers with CloudEvents attributes.
	Prefix string
	// Percent encodes values of headers as the HTTP binding of CloudEvents does, where they cannot be any UTF-8.
	Percent bool
}

// The headers that say what an attempt is.
const (
	headerSubscription = "recount-subscription"
	headerPartition    = "recount-partition"
	headerEpoch        = "recount-epoch"
	headerPosition     = "recount-position"
	headerAttempt      = "recount-attempt"
	headerRedrive      = "recount-redrive"
	headerReplay       = "recount-replay"
)

// Attempt is what an Encoding writes of the events of one attempt.
type Attempt struct {
	encoding Encoding
	marks    []Header
}

// Attempt returns what writes the events of an attempt.
func (c Encoding) Attempt(d *delivery.Delivery) Attempt {
	marks := []Header{
		{Name: headerSubscription, Value: d.Subscription},
		{Name: headerPartition, Value: strconv.Itoa(d.Partition)},
		{Name: headerEpoch, Value: strconv.FormatInt(d.Epoch, 10)},
	}
	if d.Replay != "" {
		marks = append(marks, Header{Name: headerReplay, Value: url.PathEscape(d.Replay)})
	}
	return Attempt{c, marks}
}

// Message returns an event as a message.
func (a Attempt) Message(e *delivery.Event) (m Message) {
	switch a.encoding.Format {
	case delivery.FormatCloudEventsBinary:
		m.Headers = cloudevents.Attributes(e)
		for i := range m.Headers {
			h := &m.Headers[i]
			if h.Name = a.encoding.Prefix + h.Name; a.encoding.Percent {
				h.Value = cloudevents.PercentEncoded(h.Value)
			}
		}
		if m.Body = e.Data; len(m.Body) > 0 {
			m.ContentType = cloudevents.MediaType(e.ContentType)
		}
	case delivery.FormatCloudEvents:
		m.ContentType, m.Body = "application/cloudevents+json", cloudevents.Append(make([]byte, 0, e.Size()+512), e)
	default:
		m.ContentType, m.Body = eventstore.ContentTypeJSON, e.AppendJSON(make([]byte, 0, e.Size()+512))
	}
	m.Headers = slices.Grow(m.Headers, len(a.marks)+3)
	m.Headers = append(append(m.Headers, a.marks...), Header{Name: headerPosition, Value: strconv.FormatInt(e.Position, 10)})
	if e.Attempt > 1 {
		m.Headers = append(m.Headers, Header{Name: headerAttempt, Value: strconv.Itoa(e.Attempt)})
	}
	if e.Redrive {
		m.Headers = append(m.Headers, Header{Name: headerRedrive, Value: "true"})
	}
	return m
}
