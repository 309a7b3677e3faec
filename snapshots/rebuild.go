package snapshots

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// Rebuilt is what Rebuild has done.
type Rebuilt struct {
	// Made counts the snapshots made anew.
	Made int64 `json:"made"`
	// Removed counts the snapshots of streams that are deleted, or never were; they are removed.
	Removed int64 `json:"removed"`
	// Without counts the streams that cannot be loaded; what they had is left as it is.
	Without int64 `json:"without"`
}

// Rebuild makes the snapshots of a source anew from the events, in place, whatever is there: all
// streams in one pass over the log, or one that is named. It may run beside the projection, and
// again. Streams that are truncated keep what they have, if it fits. If there is no table the error
// is ErrNoTable.
func (s *Store) Rebuild(ctx context.Context, events eventstore.Reader, source commands.SnapshotSource, stream string, log zerolog.Logger) (done Rebuilt, err error) {
	table, err := s.tableOf(ctx, source)
	if err != nil {
		return done, s.describe("rebuild snapshots", err)
	}
	streams := []string{stream}
	if stream == "" {
		if streams, err = longStreams(ctx, events, source); err != nil {
			return done, err
		}
	}
	for _, stream := range streams {
		if err := s.rebuild(ctx, table, source, stream, log, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (s *Store) rebuild(ctx context.Context, table string, source commands.SnapshotSource, stream string, log zerolog.Logger, done *Rebuilt) error {
	snapshot, found, err := source.Rebuild(ctx, stream)
	switch {
	case goesWithout(err):
		warn(log, stream, err)
		done.Without++
		return nil
	case err != nil:
		return err
	case found:
		done.Made++
		return s.replace(ctx, table, snapshot)
	default:
		removed, err := s.pool.Exec(ctx, in(table, purgeSQL), source.Decider(), stream)
		done.Removed += removed.RowsAffected()
		return s.describe("remove the snapshot of "+stream, err)
	}
}

// longStreams returns the streams of the source that have come to a first snapshot.
func longStreams(ctx context.Context, events eventstore.Reader, source commands.SnapshotSource) ([]string, error) {
	due := make(due)
	for e, err := range events.ReadAll(ctx, eventstore.ReadOptions{Filter: eventstore.Filter{Categories: []string{source.Category()}}}) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		due.note(source, e.Stream, e.Version)
	}
	return due.streams(), nil
}

func (s *Store) replace(ctx context.Context, table string, snapshot commands.Snapshot) error {
	var batch pgx.Batch
	put(&batch, table, snapshot, true)
	return s.describe("keep the snapshot of "+snapshot.Stream, s.pool.SendBatch(ctx, &batch).Close())
}

// tableOf returns the table of the generation that programs of the source's version read.
func (s *Store) tableOf(ctx context.Context, source commands.SnapshotSource) (string, error) {
	var serving projections.Serving
	var b pgx.Batch
	projections.QueueServing(&b, s.schema, NameOf(source.Decider()), source.SchemaVersion(), &serving)
	err := s.pool.SendBatch(ctx, &b).Close()
	switch {
	case errors.Is(err, projections.ErrNotFound):
		err = ErrNoTable
	case err == nil && !s.owns(serving.App):
		err = &projections.AppError{App: s.app, Owners: []string{serving.App}, Schema: s.schema, Projection: NameOf(source.Decider())}
	}
	return serving.Table, err
}
