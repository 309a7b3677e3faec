package eventstore

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits bound what one append may hold.
type Limits struct {
	// EventBytes is how many bytes the data and metadata of one event may have
	// together. Default: 1 MiB.
	EventBytes int
	// AppendBytes is the same for all events of an append. Default: 16 MiB.
	AppendBytes int
	// AppendEvents is how many events an append may have. Default: 10,000.
	AppendEvents int
}

// WithDefaults returns l with its zero fields set to their defaults.
func (l Limits) WithDefaults() Limits {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.EventBytes, 1<<20)
	set(&l.AppendBytes, 16<<20)
	set(&l.AppendEvents, 10_000)
	return l
}

const (
	maxStreamBytes      = 512
	maxTypeBytes        = 256
	maxReceiptBytes     = 255
	maxFingerprintBytes = 64
	maxAnswerBytes      = 64 << 10
	maxReceiptWindow    = 24 * time.Hour
)

// Validate checks what every store demands of an append and its options, so
// that a bad one never queues up beside good ones. The error is an
// *InvalidError.
func (l Limits) Validate(appends []StreamAppend, opts AppendOptions) error {
	l = l.WithDefaults()
	if len(appends) == 0 {
		return invalid("appends", "must have one or more")
	}
	if err := validateReceipt(opts.Receipt); err != nil {
		return err
	}
	events, bytes := 0, 0
	check := validateName
	if opts.System {
		check = validateSystemName
	}
	for _, a := range appends {
		if err := check("stream", a.Stream, maxStreamBytes); err != nil {
			return err
		}
		if err := a.Expected.Validate(); err != nil {
			return err
		}
		if err := l.validateEvents(a.Events, check); err != nil {
			return err
		}
		events += len(a.Events)
		for _, e := range a.Events {
			bytes += e.Size()
		}
	}
	if events == 0 && opts.Receipt == nil {
		return invalid("events", "must have one or more, unless the append carries a receipt")
	}
	if events > l.AppendEvents {
		return tooLarge("events", fmt.Sprintf("must be at most %d, there are %d", l.AppendEvents, events))
	}
	if bytes > l.AppendBytes {
		return tooLarge("events", fmt.Sprintf("must have at most %d bytes together, they have %d", l.AppendBytes, bytes))
	}
	return nil
}

func (l Limits) validateEvents(events []Event, check func(field, name string, limit int) error) error {
	seen := make(map[uuid.UUID]bool)
	for i, e := range events {
		field := func(name string) string { return fmt.Sprintf("events[%d].%s", i, name) }
		if err := check(field("type"), e.Type, maxTypeBytes); err != nil {
			return err
		}
		if e.SchemaVersion < 0 || e.SchemaVersion > 1<<15 {
			return invalid(field("schema_version"), "must be from 1 to 32768")
		}
		if e.ContentType != "" {
			if err := validateName(field("content_type"), e.ContentType, maxTypeBytes); err != nil {
				return err
			}
		}
		if n := e.Size(); n > l.EventBytes {
			return tooLarge(field("data"), fmt.Sprintf("and metadata must have at most %d bytes, they have %d", l.EventBytes, n))
		}
		if (e.ID == uuid.Nil) != (events[0].ID == uuid.Nil) {
			return invalid(field("id"), "must be set in every event of an append or in none")
		}
		if e.ID != uuid.Nil && seen[e.ID] {
			return invalid(field("id"), "is used twice in this append")
		}
		seen[e.ID] = true
	}
	return nil
}

// ValidateStream checks the name of a stream that a user may write. The error
// is an *InvalidError.
func ValidateStream(name string) error {
	return validateName("stream", name, maxStreamBytes)
}

func validateReceipt(r *Receipt) error {
	if r == nil {
		return nil
	}
	for _, f := range []struct{ name, value string }{{"receipt.scope", r.Scope}, {"receipt.key", r.Key}} {
		if err := validateText(f.name, f.value, maxReceiptBytes); err != nil {
			return err
		}
	}
	if len(r.Fingerprint) > maxFingerprintBytes {
		return invalid("receipt.fingerprint", fmt.Sprintf("must have at most %d bytes", maxFingerprintBytes))
	}
	if r.Window < 0 || r.Window > maxReceiptWindow {
		return invalid("receipt.window", "must be from 0 to 24 hours")
	}
	if len(r.Answer) > maxAnswerBytes {
		return invalid("receipt.answer", fmt.Sprintf("must have at most %d bytes", maxAnswerBytes))
	}
	return nil
}

func validateName(field, name string, limit int) error {
	if err := validateText(field, name, limit); err != nil {
		return err
	}
	if name[0] == '$' {
		return invalid(field, "must not begin with '$', which marks names of the store")
	}
	return nil
}

// validateSystemName checks a name of the engine's own.
func validateSystemName(field, name string, limit int) error {
	if err := validateText(field, name, limit); err != nil {
		return err
	}
	isStores := name == TypeMetadata || name == TypeDeleted || name == TypeTombstone || strings.HasPrefix(name, "$$")
	if name[0] != '$' || isStores {
		return invalid(field, "must begin with one '$' and be no name that stores write themselves, in an append of the engine")
	}
	return nil
}

// validateText keeps out what PostgreSQL's text type or a log line would choke
// on.
func validateText(field, text string, limit int) error {
	if text == "" {
		return invalid(field, "must not be empty")
	}
	if len(text) > limit {
		return invalid(field, fmt.Sprintf("must have at most %d bytes, it has %d", limit, len(text)))
	}
	if !utf8.ValidString(text) {
		return invalid(field, "must be valid UTF-8")
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return invalid(field, fmt.Sprintf("must not have control characters, it has %U", r))
		}
	}
	return nil
}

func invalid(field, reason string) error {
	return &InvalidError{Field: field, Reason: reason}
}

func tooLarge(field, reason string) error {
	return &InvalidError{Field: field, Reason: reason, TooLarge: true}
}
