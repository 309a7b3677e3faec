// Package cloudevents writes events as CloudEvents 1.0, for the targets that can.
package cloudevents

import (
	"encoding/base64"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Tracing returns what metadata of commands say of traces and causes. Anybody may write metadata: what is none, or
// longer than a header may be, is left out.
func Tracing(metadata []byte) commands.Metadata {
	m, err := commands.ParseMetadata(metadata)
	if err != nil {
		return commands.Metadata{}
	}
	if !traceParent.MatchString(m.TraceParent) {
		m.TraceParent = ""
	}
	if len(m.TraceState) > 512 || !IsFieldValue(m.TraceState) || m.TraceParent == "" {
		m.TraceState = ""
	}
	for _, id := range []*string{&m.CorrelationID, &m.CausationID} {
		if len(*id) > 255 {
			*id = ""
		}
	}
	return m
}

// Attribute is one of a CloudEvent.
type Attribute struct{ Name, Value string }

// Attributes returns those that have a value. The source is the category, the subject the stream.
func Attributes(e *delivery.Event) []Attribute {
	known := Tracing(e.Metadata)
	all := []Attribute{
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
		all = append(all, Attribute{"replay", e.Replay})
	}
	some := all[:0]
	for _, a := range all {
		if a.Value != "" {
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

// Append appends an event as a CloudEvent in structured mode.
func Append(to []byte, e *delivery.Event) []byte {
	to = append(to, '{')
	for _, a := range Attributes(e) {
		to = append(append(append(to, '"'), a.Name...), `":`...)
		// Its error is about bytes that are not UTF-8, in whose place U+FFFD is written.
		to, _ = jsontext.AppendQuote(to, a.Value)
		to = append(to, ',')
	}
	if len(e.Data) == 0 {
		to[len(to)-1] = '}'
		return to
	}
	to, _ = jsontext.AppendQuote(append(to, `"datacontenttype":`...), e.ContentType)
	if IsJSON(e.ContentType) && delivery.IsJSON(e.Data) {
		to = append(append(to, `,"data":`...), e.Data...)
		return append(to, '}')
	}
	to = base64.StdEncoding.AppendEncode(append(to, `,"data_base64":"`...), e.Data)
	return append(to, `"}`...)
}

// MediaType returns a content type that receivers can read, which that of an event need not be, and that does not
// make them take the event for a CloudEvent in structured mode.
func MediaType(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(kind, "/") || strings.HasPrefix(kind, "application/cloudevents") || !IsFieldValue(contentType) {
		return "application/octet-stream"
	}
	return contentType
}

// IsJSON reports whether a content type is that of JSON.
func IsJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json"))
}

// PercentEncoded encodes as the HTTP binding of CloudEvents wants it: all that is not printable ASCII, spaces,
// double quotes and percent signs.
func PercentEncoded(s string) string {
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

// IsFieldValue reports whether a text can be the value of a header.
func IsFieldValue(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}
