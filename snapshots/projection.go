package snapshots

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/projections"
)

// Projections returns what makes the snapshots of the sources, one for each decider, for a
// projections.Runner. Streams that cannot be loaded, and states that do not survive JSON, go
// without, with a warning.
func (s *Store) Projections(log zerolog.Logger, sources ...commands.SnapshotSource) (all []projections.Projection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, source := range sources {
		name := NameOf(source.Decider())
		s.names = append(s.names, name)
		all = append(all, projections.NewBatch(projections.BatchConfig{
			Name: name, Version: source.SchemaVersion(), Types: source.EventTypes(),
			Create: s.create(source), Prepare: projector{s, log, source}.prepare,
		}))
	}
	return all
}

// projector makes the snapshots of a source.
type projector struct {
	store  *Store
	log    zerolog.Logger
	source commands.SnapshotSource
}

func (p projector) prepare(ctx context.Context, table string, events []projections.Decoded, out *pgx.Batch) error {
	due := make(due)
	for _, e := range events {
		due.note(p.source, e.Event.Stream, e.Event.Version)
	}
	if len(due) == 0 {
		return nil
	}
	if err := p.leaveOutDone(ctx, table, due); err != nil {
		return err
	}
	bytes := 0
	for _, stream := range due.streams() {
		s, found, err := p.source.Snapshot(ctx, stream)
		switch {
		case goesWithout(err):
			warn(p.log, stream, err)
		case err != nil:
			return err
		case found:
			failpoint.Hit(failpoint.SnapshotTaken)
			if bytes += len(s.State); bytes <= p.store.batchBytes {
				put(out, table, s, false)
				continue
			}
			// One that is kept before the projection moves is none too early: it is of its stream alone.
			var own pgx.Batch
			put(&own, table, s, false)
			if err := p.store.pool.SendBatch(ctx, &own).Close(); err != nil {
				return fmt.Errorf("keep the snapshot of %s: %w", stream, err)
			}
		}
	}
	return nil
}

// due has the streams that want a snapshot, with the version that it must have come to.
type due map[string]int64

// note says that a stream has an event of a version.
func (d due) note(source commands.SnapshotSource, stream string, version int64) {
	if (version+1)%int64(source.Every()) == 0 && eventstore.Category(stream) == source.Category() {
		d[stream] = max(d[stream], version)
	}
}

// streams returns them in the order of their names.
func (d due) streams() []string {
	names := make([]string, 0, len(d))
	for stream := range d {
		names = append(names, stream)
	}
	slices.Sort(names)
	return names
}

const doneSQL = `
SELECT stream, version FROM {table} WHERE decider = $1 AND stream = ANY($2) AND NOT carried`

// leaveOutDone takes out the streams that have come further: a snapshot is made of all events that
// there are, also of those behind the batch.
func (p projector) leaveOutDone(ctx context.Context, table string, d due) error {
	rows, err := p.store.pool.Query(ctx, in(table, doneSQL), p.source.Decider(), d.streams())
	if err != nil {
		return fmt.Errorf("look for snapshots: %w", err)
	}
	var stream string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&stream, &version}, func() error {
		if version >= d[stream] {
			delete(d, stream)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for snapshots: %w", err)
	}
	return nil
}

// goesWithout reports whether an error is the fault of the stream itself: there is no snapshot of
// it, and trying again would not help. What this program cannot read a newer one can: the
// projection stands aside for it.
func goesWithout(err error) bool {
	if eventstore.ClassOf(err) == eventstore.ClassUnknownSchema {
		return false
	}
	event := errors.As(err, new(*commands.EventError))
	state := errors.As(err, new(*commands.StateError))
	return event || state || errors.Is(err, commands.ErrTruncated)
}

func warn(log zerolog.Logger, stream string, why error) {
	log.Warn().Err(why).Str("stream", stream).Msg("stream goes without a new snapshot")
}
