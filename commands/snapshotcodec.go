package commands

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// newSnapshot encodes a state that was loaded. One that would not come back the
// same is a *StateError.
func newSnapshot[S any](decider string, schema int, now versioned[S]) (Snapshot, error) {
	last := now.last
	state, err := json.Marshal(now.state)
	if err != nil {
		return Snapshot{}, &StateError{Stream: last.stream, Err: err}
	}
	s := Snapshot{
		Stream: last.stream, Decider: decider, SchemaVersion: schema, Version: now.version,
		Position: last.position, EventID: last.id, RecordedAt: last.recordedAt, State: state,
	}
	s.Checksum = s.checksum()
	back, err := decodeSnapshot[S](s, last.stream, decider, schema)
	if err == nil && !reflect.DeepEqual(back.state, now.state) {
		err = fmt.Errorf("%T is not the same after a trip through JSON: are there fields that are not exported, or empty maps?", now.state)
	}
	if err != nil {
		return Snapshot{}, &StateError{Stream: last.stream, Err: err}
	}
	return s, nil
}

// decodeSnapshot returns the state in a snapshot, if it is whole and of the kind
// wanted.
func decodeSnapshot[S any](s Snapshot, stream, decider string, schema int) (versioned[S], error) {
	switch {
	case s.SchemaVersion != schema:
		return nothing[S](), fmt.Errorf("its schema version is %d, this program's is %d", s.SchemaVersion, schema)
	case s.Stream != stream || s.Decider != decider:
		return nothing[S](), fmt.Errorf("it is of stream %q and decider %q", s.Stream, s.Decider)
	case s.Version < 0 || !bytes.Equal(s.Checksum, s.checksum()):
		return nothing[S](), errors.New("it is damaged: its checksum is another")
	}
	known := versioned[S]{version: s.Version, last: place{s.Stream, s.Position, s.EventID, s.RecordedAt.UTC()}}
	d := json.NewDecoder(bytes.NewReader(s.State))
	// A field that is gone is a change of the type that forgot to raise the
	// schema version.
	d.DisallowUnknownFields()
	if err := d.Decode(&known.state); err != nil {
		return nothing[S](), fmt.Errorf("its state cannot be read: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nothing[S](), errors.New("there is more than a state in it")
	}
	return known, nil
}

// checksum is the SHA-256 of the fields, each behind its length.
func (s Snapshot) checksum() []byte {
	var b []byte
	for _, field := range [][]byte{[]byte(s.Stream), []byte(s.Decider), s.EventID[:], s.State} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	for _, n := range []int64{int64(s.SchemaVersion), s.Version, s.Position, s.RecordedAt.UnixMicro()} {
		b = binary.AppendVarint(b, n)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// place says which event was the last in a state. Event id, position and time
// together are never given again, not even in a log that lost its end.
type place struct {
	stream     string
	position   int64
	id         uuid.UUID
	recordedAt time.Time
}

func placeOf(e eventstore.RecordedEvent) place {
	return place{e.Stream, e.Position, e.ID, eventstore.Microseconds(e.RecordedAt)}
}
