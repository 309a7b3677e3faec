package commands

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/google/uuid"
)

// Snapshot is the state of a stream at a version, from which loading can go on
// without the events before. It is a copy of what the log says, and never
// needed: one that does not fit the log is ignored.
type Snapshot struct {
	Stream string
	// Decider and SchemaVersion say what kind of state it is; see
	// SnapshotConfig.
	Decider       string
	SchemaVersion int
	// Version, Position, EventID and RecordedAt are those of the last event in
	// the state. A log that does not have this very event is another one, or
	// has lost it, and the snapshot is not for it.
	Version    int64
	Position   int64
	EventID    uuid.UUID
	RecordedAt time.Time
	// State is the state as JSON.
	State []byte
	// Checksum is that of all the other fields.
	Checksum []byte
}

// SnapshotStore keeps the last snapshot of each stream and decider.
type SnapshotStore interface {
	// Snapshot returns the snapshot of a decider's schema version as it was kept;
	// found is false if there is none. It need not check it.
	Snapshot(ctx context.Context, decider string, schemaVersion int, stream string) (s Snapshot, found bool, err error)
}

// SnapshotConfig says which snapshots a Handler begins with. The zero value is
// for streams that stay short: none.
type SnapshotConfig struct {
	// Store has the snapshots. It costs a read for every stream that is not in
	// the cache. Default: none.
	Store SnapshotStore
	// SchemaVersion is the version of the state type and of what Evolve makes
	// of events, from 1. Raise it with every change of either, or states of the
	// old kind will be taken for those of the new one. Default: 1.
	SchemaVersion int
	// Decider names the kind of state, where a category has several, or several
	// Apps on one log have the category. Default: the category.
	Decider string
	// Every is how many events of a stream there are from one snapshot to the
	// next. It bounds what loading reads, as long as whoever makes the
	// snapshots keeps up. Default: 100.
	Every int
}

func (c SnapshotConfig) withDefaults(category string) SnapshotConfig {
	if c.SchemaVersion == 0 {
		c.SchemaVersion = 1
	}
	if c.Decider == "" {
		c.Decider = category
	}
	if c.Every == 0 {
		c.Every = 100
	}
	return c
}

func (c SnapshotConfig) validate() error {
	if c.SchemaVersion < 0 || c.Every < 0 {
		return errors.New("commands: Config.Snapshots: SchemaVersion and Every must not be negative")
	}
	return nil
}

// SnapshotSource is a Handler as whoever makes its snapshots sees it.
type SnapshotSource interface {
	// Category, Decider, SchemaVersion and Every are as configured.
	Category() string
	Decider() string
	SchemaVersion() int
	Every() int
	// EventTypes are the names of the event types of the aggregate.
	EventTypes() []string
	// Snapshot returns a snapshot of a stream of the category as it is now, made
	// from the last one that fits and the events behind it; found is false if
	// the stream does not exist or is deleted. Errors are those of Handler.Load,
	// and *StateError.
	Snapshot(ctx context.Context, stream string) (s Snapshot, found bool, err error)
	// Rebuild is Snapshot from the events alone. Only where the first of them
	// are hidden it begins with the last snapshot.
	Rebuild(ctx context.Context, stream string) (s Snapshot, found bool, err error)
}

// SnapshotSource returns what makes snapshots of the handler's streams.
func (h *Handler[S, E]) SnapshotSource() SnapshotSource { return source[S, E]{h} }

type source[S any, E Event[S]] struct{ handler *Handler[S, E] }

func (s source[S, E]) Category() string   { return s.handler.config.Category }
func (s source[S, E]) Decider() string    { return s.handler.config.Snapshots.Decider }
func (s source[S, E]) SchemaVersion() int { return s.handler.config.Snapshots.SchemaVersion }
func (s source[S, E]) Every() int         { return s.handler.config.Snapshots.Every }

func (s source[S, E]) EventTypes() []string {
	return s.handler.loader.codec.TypeNamesOf(reflect.TypeFor[E]())
}

func (s source[S, E]) Snapshot(ctx context.Context, stream string) (Snapshot, bool, error) {
	return s.take(s.handler.loader.refresh(ctx, stream, nothing[S]()))
}

func (s source[S, E]) Rebuild(ctx context.Context, stream string) (Snapshot, bool, error) {
	fresh := s.handler.loader
	fresh.snapshots = nil
	now, err := fresh.refresh(ctx, stream, nothing[S]())
	if errors.Is(err, ErrTruncated) {
		return s.Snapshot(ctx, stream)
	}
	return s.take(now, err)
}

// take makes a snapshot of what was loaded.
func (s source[S, E]) take(now versioned[S], err error) (Snapshot, bool, error) {
	if err != nil || now.version < 0 {
		return Snapshot{}, false, err
	}
	taken, err := newSnapshot(s.Decider(), s.SchemaVersion(), now)
	return taken, err == nil, err
}
