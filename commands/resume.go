package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// snapshotReader is where a loader looks for snapshots.
type snapshotReader[S any] struct {
	config SnapshotConfig
	log    zerolog.Logger
}

// find returns the state in a stream's snapshot; found is false, and a warning
// logged, if it is not one of this program's kind.
func (s *snapshotReader[S]) find(ctx context.Context, stream string) (known versioned[S], found bool, err error) {
	snapshot, found, err := s.config.Store.Snapshot(ctx, s.config.Decider, s.config.SchemaVersion, stream)
	if err != nil || !found {
		return nothing[S](), false, err
	}
	known, err = decodeSnapshot[S](snapshot, stream, s.config.Decider, s.config.SchemaVersion)
	if err != nil {
		s.warn(stream, snapshot.Version, err)
		return nothing[S](), false, nil
	}
	return known, true, nil
}

func (s *snapshotReader[S]) warn(stream string, version int64, why error) {
	s.log.Warn().Err(why).Str("stream", stream).Str("decider", s.config.Decider).Int64("version", version).
		Msg("snapshot is ignored")
}

var errForeign = errors.New("the log has another event in the place of its last one, or the stream was deleted or truncated since")

// resume is load with a snapshot to begin with. One that is of no use, for
// whatever reason, costs time and nothing else.
func (l loader[S, E]) resume(ctx context.Context, stream string) (versioned[S], error) {
	known, found, unread := l.snapshots.find(ctx, stream)
	if ctx.Err() != nil {
		return nothing[S](), fmt.Errorf("load stream %q: %w", stream, context.Cause(ctx))
	}
	if unread != nil {
		l.snapshots.warn(stream, -1, unread)
	}
	if found && (l.until == nil || !l.until(known.last, known.version)) {
		now, err := l.fromSnapshot(ctx, stream, known)
		if !isStale(err) {
			return now, err
		}
		l.snapshots.warn(stream, known.version, errForeign)
	}
	now, err := l.load(ctx, stream)
	if unread != nil && errors.Is(err, ErrTruncated) {
		// There may be a snapshot that fits.
		err = fmt.Errorf("read the snapshot of stream %q, which is truncated: %w", stream, unread)
	}
	return now, err
}

// fromSnapshot folds the events behind a snapshot into its state. The error
// matches isStale if the snapshot does not fit the stream.
func (l loader[S, E]) fromSnapshot(ctx context.Context, stream string, known versioned[S]) (versioned[S], error) {
	now, err := l.follow(ctx, stream, known, l.joinsSnapshot)
	var truncated *TruncatedError
	if errors.As(err, &truncated) && truncated.First < 0 && l.manager != nil {
		return known, l.isAll(ctx, known)
	}
	return now, err
}

// joinsSnapshot is the check of a snapshot: its last event must be in the log,
// the very same. If the first event seen comes right behind it, the two are of
// one life, for a deletion would be between them.
func (l loader[S, E]) joinsSnapshot(ctx context.Context, _ string, snapshot versioned[S], first eventstore.RecordedEvent) (known bool, err error) {
	switch {
	case first.Version == snapshot.version && placeOf(first) == snapshot.last:
		return true, nil
	case first.Version == snapshot.version+1:
		return false, l.inLog(ctx, snapshot)
	}
	return false, errGap
}

// isAll checks that a snapshot, of whose stream nothing can be seen, has the last
// event of it. Else it returns errGap.
func (l loader[S, E]) isAll(ctx context.Context, snapshot versioned[S]) error {
	info, err := l.manager.StreamInfo(ctx, snapshot.last.stream)
	switch {
	case err != nil:
		return fmt.Errorf("load stream %q: %w", snapshot.last.stream, err)
	case info.Version != snapshot.version:
		return errGap
	}
	return l.inLog(ctx, snapshot)
}

// inLog looks for the last event of a snapshot where ReadStream does not show
// it: in the log, which hides nothing. If it is not there it returns errGap.
func (l loader[S, E]) inLog(ctx context.Context, snapshot versioned[S]) error {
	for e, err := range l.store.ReadAll(ctx, eventstore.ReadOptions{From: snapshot.last.position, Limit: 1}) {
		if err != nil {
			return fmt.Errorf("load stream %q: %w", snapshot.last.stream, err)
		}
		if e.Version == snapshot.version && placeOf(e) == snapshot.last {
			return nil
		}
	}
	return errGap
}
