package webhook

import (
	"bytes"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// message is what is sent in an attempt: body and headers, without credentials.
type message struct {
	body   []byte
	header http.Header
	values []string // of header, in one piece
	// id is what it is signed with.
	id string
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
		m.write(d, batch, appendCloudEvent)
	case t.config.Format == delivery.FormatCloudEvents:
		m.set("Content-Type", "application/cloudevents+json")
		m.write(d, batch, appendCloudEvent)
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
	known := tracing(first.Metadata)
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

var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// tracing returns what metadata of commands say of traces and causes. Anybody may write metadata: what is none, or
// longer than a header may be, is left out.
func tracing(metadata []byte) commands.Metadata {
	m, err := commands.ParseMetadata(metadata)
	if err != nil {
		return commands.Metadata{}
	}
	if !traceParent.MatchString(m.TraceParent) {
		m.TraceParent = ""
	}
	if len(m.TraceState) > 512 || !isFieldValue(m.TraceState) || m.TraceParent == "" {
		m.TraceState = ""
	}
	for _, id := range []*string{&m.CorrelationID, &m.CausationID} {
		if len(*id) > 255 {
			*id = ""
		}
	}
	return m
}

// attribute is one of a CloudEvent.
type attribute struct{ name, value string }

// attributes returns those that have a value. The source is the category, the subject the stream.
func attributes(e *delivery.Event) []attribute {
	known := tracing(e.Metadata)
	all := []attribute{
		{"specversion", "1.0"},
		{"id", e.MessageID.String()},
		{"source", "/" + url.PathEscape(eventstore.Category(e.Stream))},
		{"type", e.Type},
		{"subject", e.Stream},
		{"time", e.RecordedAt.UTC().Format(time.RFC3339Nano)},
		// Of the extension "sequence": texts that sort like the positions.
		{"sequence", padded(e.Position)},
		{"partitionkey", e.Key},
		{"eventid", e.ID.String()},
		{"streamversion", strconv.FormatInt(e.Version, 10)},
		{"schemaversion", strconv.Itoa(e.SchemaVersion)},
		{"correlationid", known.CorrelationID},
		{"causationid", known.CausationID},
		{"traceparent", known.TraceParent},
		{"tracestate", known.TraceState},
	}
	if e.Replay != "" {
		all = append(all, attribute{"replay", e.Replay})
	}
	some := all[:0]
	for _, a := range all {
		if a.value != "" {
			some = append(some, a)
		}
	}
	return some
}

func padded(position int64) string {
	const digits = "0000000000000000000"
	text := strconv.FormatInt(position, 10)
	return digits[min(len(text), len(digits)):] + text
}

// appendCloudEvent appends a CloudEvent in structured mode.
func appendCloudEvent(to []byte, e *delivery.Event) []byte {
	to = append(to, '{')
	for _, a := range attributes(e) {
		to = append(append(append(to, '"'), a.name...), `":`...)
		// Its error is about bytes that are not UTF-8, in whose place U+FFFD is written.
		to, _ = jsontext.AppendQuote(to, a.value)
		to = append(to, ',')
	}
	if len(e.Data) == 0 {
		to[len(to)-1] = '}'
		return to
	}
	to, _ = jsontext.AppendQuote(append(to, `"datacontenttype":`...), e.ContentType)
	if isJSONType(e.ContentType) && delivery.IsJSON(e.Data) {
		to = append(append(to, `,"data":`...), e.Data...)
		return append(to, '}')
	}
	to = base64.StdEncoding.AppendEncode(append(to, `,"data_base64":"`...), e.Data)
	return append(to, `"}`...)
}

// binary makes the message a CloudEvent in binary mode.
func (m *message) binary(e *delivery.Event) {
	for _, a := range attributes(e) {
		m.set(http.CanonicalHeaderKey("ce-"+a.name), percentEncoded(a.value))
	}
	if len(e.Data) > 0 {
		m.body = bytes.Clone(e.Data)
		m.set("Content-Type", mediaType(e.ContentType))
	}
}

// mediaType returns a content type that receivers can read, which that of an event need not be, and that does not
// make them take the event for a CloudEvent in structured mode.
func mediaType(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(kind, "/") || strings.HasPrefix(kind, "application/cloudevents") || !isFieldValue(contentType) {
		return "application/octet-stream"
	}
	return contentType
}

func isJSONType(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == eventstore.ContentTypeJSON || strings.HasSuffix(kind, "+json"))
}

// percentEncoded encodes as the HTTP binding of CloudEvents wants it: all that is not printable ASCII, spaces,
// double quotes and percent signs.
func percentEncoded(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c > ' ' && c < 0x7f && c != '"' && c != '%' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}
