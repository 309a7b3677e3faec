package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// ErrNoVersion is matched by the error for a version that cannot be loaded.
var ErrNoVersion = eventstore.NewError(eventstore.ClassNotFound, "version cannot be seen in the stream")

// Moment is a place in the past of a stream. The zero Moment is the present.
type Moment struct {
	version    *int64
	recordedAt *time.Time
}

// AtVersion is the moment after the event with the given version.
func AtVersion(version int64) Moment { return Moment{version: &version} }

// AtTime is the moment after the events that were recorded up to t, by the
// store's clock, to the microsecond.
func AtTime(t time.Time) Moment { return Moment{recordedAt: &t} }

// passed reports whether an event came after the moment.
func (m Moment) passed(e place, version int64) bool {
	switch {
	case m.version != nil:
		return version > *m.version
	case m.recordedAt != nil:
		return e.recordedAt.After(*m.recordedAt)
	}
	return false
}

// LoadAt is Load as of a moment: of the events that the stream shows now, it
// evolves those up to then. The version is -1 if the stream did not exist then,
// or what did was deleted since.
//
// The error matches ErrNoVersion if the moment is a version that the stream has
// not come to, or that belongs to a life before its deletion.
func (h *Handler[S, E]) LoadAt(ctx context.Context, id string, at Moment) (state S, version int64, err error) {
	stream, err := h.stream(id)
	if err != nil {
		return state, -1, err
	}
	l := h.loader
	l.until = at.passed
	now, err := l.refresh(ctx, stream, nothing[S]())
	if err == nil && at.version != nil && now.version != *at.version {
		err = fmt.Errorf("version %d of stream %q: %w", *at.version, stream, ErrNoVersion)
	}
	return now.state, now.version, err
}
