package brokers

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// Name is a subject, topic or routing key with placeholders.
type Name struct {
	// parts are text, and between it placeholders.
	parts  []string
	escape func(string) string
	// limit is how many bytes it may have.
	limit int
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// NewName returns the name with what escapes values of placeholders.
func NewName(text string, limit int, escape func(string) string) Name {
	var parts []string
	end := 0
	for _, at := range placeholder.FindAllStringIndex(text, -1) {
		parts = append(parts, text[end:at[0]], text[at[0]:at[1]])
		end = at[1]
	}
	return Name{append(parts, text[end:]), escape, limit}
}

// Of returns the name for an event. The error is permanent.
func (n Name) Of(e *delivery.Event) (string, error) {
	if len(n.parts) == 1 {
		return n.parts[0], nil
	}
	var b strings.Builder
	for i, part := range n.parts {
		if i%2 == 1 {
			part = cmp.Or(n.escape(valueOf(part, e.RecordedEvent)), "_")
		}
		b.WriteString(part)
	}
	if b.Len() > n.limit {
		return "", delivery.Permanent(fmt.Errorf("what the event is published to has %d bytes, and may have %d", b.Len(), n.limit))
	}
	return b.String(), nil
}

func valueOf(placeholder string, e *eventstore.RecordedEvent) string {
	switch placeholder {
	case "{stream}":
		return e.Stream
	case "{category}":
		return eventstore.Category(e.Stream)
	case "{id}":
		return eventstore.StreamID(e.Stream)
	}
	return e.Type
}

// Token makes one token of a value: bytes that are no letters, digits, '-' and '_' become %2E.
func Token(s string) string { return mapped(s, "", "%%%02X") }

// Topic makes a part of the name of a topic of a value: bytes that are no letters, digits, '.', '-' and '_' become '_'.
func Topic(s string) string { return mapped(s, ".", "_") }

func mapped(s, more, format string) string {
	stays := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || strings.IndexByte(more, c) >= 0
	}
	for i := range len(s) {
		if stays(s[i]) {
			continue
		}
		var b strings.Builder
		for i := range len(s) {
			switch {
			case stays(s[i]):
				b.WriteByte(s[i])
			case format == "_":
				b.WriteByte('_')
			default:
				fmt.Fprintf(&b, format, s[i])
			}
		}
		return b.String()
	}
	return s
}
