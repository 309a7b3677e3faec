package webhook

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/cloudevents"
	"github.com/57528e99/recount/eventstore"
)

// message is what is sent in an attempt: body and headers, without credentials.
type message struct {
	body   []byte
	header http.Header
	values []string // of header, in one piece
	// id is what it is signed with.
	id string
	// url is where it is sent; nil: to the target's.
	url *url.URL
	// takes reads an answer that says that all is well; nil: nobody wants to know more.
	takes func(*http.Response) error
}

func (t *Target) message(d *delivery.Delivery) (*message, error) {
	batch := t.batch || len(d.Events) > 1
	m := &message{header: make(http.Header, 16), values: make([]string, 0, 16)}
	t.mark(m, d, batch)
	switch {
	case t.from != uuid.Nil:
		m.set("Content-Type", eventstore.ContentTypeJSON)
		m.write(d, true, t.appendEvent)
		m.body = append(append([]byte(`{"log":"`+t.from.String()+`","events":`), m.body...), '}')
	case t.config.Format == delivery.FormatCloudEventsBinary && batch:
		return nil, delivery.Stop(errors.New("cloudevents-binary has no batches"))
	case t.config.Format == delivery.FormatCloudEventsBinary:
		m.binary(&d.Events[0])
	case t.config.Format == delivery.FormatCloudEvents && batch:
		m.set("Content-Type", "application/cloudevents-batch+json")
		m.write(d, batch, cloudevents.Append)
	case t.config.Format == delivery.FormatCloudEvents:
		m.set("Content-Type", "application/cloudevents+json")
		m.write(d, batch, cloudevents.Append)
	case t.config.Format == delivery.FormatData && batch:
		m.set("Content-Type", eventstore.ContentTypeJSON)
		m.write(d, batch, appendData)
	case t.config.Format == delivery.FormatData:
		m.bare(&d.Events[0])
	default:
		m.set("Content-Type", eventstore.ContentTypeJSON)
		m.write(d, batch, t.appendEvent)
	}
	return m, nil
}

// appendEvent appends an event as the API gives it. Metadata say what goes on in the service, and who did it: they are not for those
// who receive webhooks.
func (t *Target) appendEvent(to []byte, e *delivery.Event) []byte {
	if t.signer != nil && len(e.Metadata) > 0 {
		recorded, without := *e.RecordedEvent, *e
		recorded.Metadata, without.RecordedEvent = nil, &recorded
		e = &without
	}
	return e.AppendJSON(to)
}

// set sets a header, whose name must be canonical.
func (m *message) set(name, value string) {
	m.values = append(m.values, value)
	n := len(m.values)
	m.header[name] = m.values[n-1 : n : n]
}

func (m *message) write(d *delivery.Delivery, batch bool, write func([]byte, *delivery.Event) []byte) {
	size := 2
	for i := range d.Events {
		size += d.Events[i].Size() + 512
	}
	m.body = make([]byte, 0, size)
	if !batch {
		m.body = write(m.body, &d.Events[0])
		return
	}
	for i := range d.Events {
		m.body = append(m.body, "[,"[min(i, 1)])
		m.body = write(m.body, &d.Events[i])
	}
	m.body = append(m.body, ']')
}

// mark says what the attempt is. All that differs between attempts is in headers: the body and the idempotency
// key are the same each time, but that CloudEvents say of which replay they are.
func (t *Target) mark(m *message, d *delivery.Delivery, batch bool) {
	first, last := &d.Events[0], &d.Events[len(d.Events)-1]
	attempt, redrive := 0, false
	for i := range d.Events {
		attempt = max(attempt, d.Events[i].Attempt)
		redrive = redrive || d.Events[i].Redrive
	}
	m.set("User-Agent", "recount")
	m.set("X-Delivery-Attempt", strconv.Itoa(attempt))
	m.set("Recount-Subscription", d.Subscription)
	m.set("Recount-Partition", strconv.Itoa(d.Partition))
	m.set("Recount-Epoch", strconv.FormatInt(d.Epoch, 10))
	m.set("Recount-Position", strconv.FormatInt(last.Position, 10))
	if d.Replay != "" {
		m.set("Recount-Replay", url.PathEscape(d.Replay))
	}
	if redrive {
		m.set("Recount-Redrive", "true")
	}
	if batch {
		m.set("Idempotency-Key", `"`+batchID(d).String()+`"`)
		return
	}
	id := first.MessageID.String()
	m.id = id
	m.set("X-Event-Id", id)
	m.set("Idempotency-Key", `"`+id+`"`)
	known := cloudevents.Tracing(first.Metadata)
	if known.TraceParent != "" {
		m.set("Traceparent", known.TraceParent)
	}
	if known.TraceState != "" {
		m.set("Tracestate", known.TraceState)
	}
}

// batchID is the same for the same events in the same order.
func batchID(d *delivery.Delivery) uuid.UUID {
	var ids []byte
	for i := range d.Events {
		ids = append(ids, d.Events[i].MessageID[:]...)
	}
	return uuid.NewSHA1(d.Events[0].MessageID, ids)
}

// binary makes the message a CloudEvent in binary mode.
func (m *message) binary(e *delivery.Event) {
	for _, a := range cloudevents.Attributes(e) {
		m.set(http.CanonicalHeaderKey("ce-"+a.Name), cloudevents.PercentEncoded(a.Value))
	}
	m.bare(e)
}

// bare makes the data the body.
func (m *message) bare(e *delivery.Event) {
	if len(e.Data) > 0 {
		m.body = bytes.Clone(e.Data)
		m.set("Content-Type", cloudevents.MediaType(e.ContentType))
	}
}

// appendData appends data as they are if they are JSON, null if there are none.
func appendData(to []byte, e *delivery.Event) []byte {
	switch {
	case len(e.Data) == 0:
		return append(to, "null"...)
	case delivery.IsJSON(e.Data):
		return append(to, e.Data...)
	}
	return append(base64.StdEncoding.AppendEncode(append(to, '"'), e.Data), '"')
}
