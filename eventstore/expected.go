package eventstore

import "fmt"

// ExpectedVersion is what an append demands of its stream. The zero value is
// none: stores refuse it, so that nobody goes without a check by leaving it out.
type ExpectedVersion struct {
	kind    expectedKind
	version int64
}

type expectedKind uint8

const (
	expectUnsaid expectedKind = iota
	expectAny
	expectNoStream
	expectExists
	expectExact
)

var (
	// Any demands nothing.
	Any = ExpectedVersion{kind: expectAny}
	// NoStream demands that the stream was never written or is deleted.
	NoStream = ExpectedVersion{kind: expectNoStream}
	// StreamExists demands that the stream was written and is not deleted.
	StreamExists = ExpectedVersion{kind: expectExists}
)

// Exact demands that the stream's last event has the given version, from 0.
// Exact(-1) is NoStream.
func Exact(version int64) ExpectedVersion {
	if version == -1 {
		return NoStream
	}
	return ExpectedVersion{kind: expectExact, version: version}
}

// Exact returns the version that is demanded, and whether one is.
func (e ExpectedVersion) Exact() (version int64, ok bool) {
	return e.version, e.kind == expectExact
}

// Validate refuses the zero value with an *InvalidError.
func (e ExpectedVersion) Validate() error {
	if e.kind == expectUnsaid {
		return invalid("expected", "must be said: Exact(version), NoStream, StreamExists, or Any to write whatever the stream holds")
	}
	return nil
}

// Accepts reports whether a stream satisfies the demand. Version is that of its
// last event, -1 if it was never written; deleted says that it is deleted and
// may be created again.
func (e ExpectedVersion) Accepts(version int64, deleted bool) bool {
	switch e.kind {
	case expectNoStream:
		return version < 0 || deleted
	case expectExists:
		return version >= 0 && !deleted
	case expectExact:
		return version == e.version
	default:
		return true
	}
}

// String returns the demand in words, for messages.
func (e ExpectedVersion) String() string {
	switch e.kind {
	case expectNoStream:
		return "no stream"
	case expectExists:
		return "an existing stream"
	case expectExact:
		return fmt.Sprintf("version %d", e.version)
	default:
		return "any version"
	}
}
