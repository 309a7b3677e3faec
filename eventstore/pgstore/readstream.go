package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// streamState is what ReadStream honours.
type streamState struct {
	eventstore.StreamInfo
	found bool
	// oldest is the recording time below which events are too old to show.
	oldest time.Time
}

// The metadata is the last event of the stream's metadata stream.
const selectStreamState = `
SELECT last.version, last.flags & 6 <> 0, last.flags & 4 <> 0,
       coalesce((SELECT m.version + 1 FROM {schema}.events m
                 WHERE m.stream_id = s.id AND m.flags & 6 <> 0
                 ORDER BY m.version DESC LIMIT 1), 0),
       (SELECT m.data FROM {schema}.events m
        WHERE m.stream_id = (SELECT ms.id FROM {schema}.streams ms WHERE ms.name = '$$' || $1)
        ORDER BY m.version DESC LIMIT 1),
       clock_timestamp()
FROM {schema}.streams s
CROSS JOIN LATERAL (
    SELECT e.version, e.flags FROM {schema}.events e
    WHERE e.stream_id = s.id ORDER BY e.version DESC LIMIT 1) AS last
WHERE s.name = $1`

func (s *Store) queueStreamState(b *pgx.Batch, name string, state *streamState) {
	b.Queue(s.sql(selectStreamState), name).QueryRow(func(row pgx.Row) error {
		var metadata []byte
		var now time.Time
		state.Stream = name
		err := row.Scan(&state.Version, &state.Deleted, &state.Tombstoned, &state.FirstVersion, &metadata, &now)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		state.found = true
		if metadata != nil {
			if state.Metadata, err = eventstore.ParseStreamMetadata(metadata); err != nil {
				return fmt.Errorf("stream %q: %w", name, err)
			}
		}
		if state.Metadata.MaxAge > 0 {
			state.oldest = now.Add(-state.Metadata.MaxAge.Duration())
		}
		return nil
	})
}

// checkReadable reports whether a stream of that name could be found at all.
func (s *Store) checkReadable(stream string) error {
	if err := s.usable(); err != nil {
		return err
	}
	if !isStorable(stream) {
		return fmt.Errorf("stream %q: %w", stream, eventstore.ErrStreamNotFound)
	}
	return nil
}

func (st *streamState) check() error {
	switch {
	case !st.found:
		return fmt.Errorf("stream %q: %w", st.Stream, eventstore.ErrStreamNotFound)
	case st.Deleted:
		return &eventstore.StreamDeletedError{Stream: st.Stream, Tombstoned: st.Tombstoned}
	}
	return nil
}

// A stream's events are looked up by its name, so that the first page needs no
// round trip before it.
const (
	streamForwards = eventColumns + `
FROM {schema}.events e
WHERE e.stream_id = (SELECT s.id FROM {schema}.streams s WHERE s.name = $1) AND e.version >= $2
ORDER BY e.version LIMIT $3`
	streamBackwards = eventColumns + `
FROM {schema}.events e
WHERE e.stream_id = (SELECT s.id FROM {schema}.streams s WHERE s.name = $1) AND e.version <= $2
ORDER BY e.version DESC LIMIT $3`
)

// ReadStream implements eventstore.Reader.
func (s *Store) ReadStream(ctx context.Context, stream string, opts eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		if err := s.readStream(ctx, stream, opts, func(e eventstore.RecordedEvent) bool { return yield(e, nil) }); err != nil {
			yield(eventstore.RecordedEvent{}, err)
		}
	}
}

func (s *Store) readStream(ctx context.Context, stream string, opts eventstore.ReadOptions, yield func(eventstore.RecordedEvent) bool) error {
	if err := opts.ValidateReadStream(); err != nil {
		return err
	}
	if err := s.checkReadable(stream); err != nil {
		return err
	}
	statement := streamForwards
	if opts.Backwards {
		statement = streamBackwards
	}
	left := opts.Limit
	if left <= 0 {
		left = math.MaxInt64
	}
	var state streamState
	sizes := newSizer(opts)
	next := opts.From
	if !opts.Backwards {
		next = max(next, 0)
	}
	for first := true; ; first = false {
		// Events that are not shown do not count, so the page is not cut down to
		// what is left of the limit.
		limit := sizes.size()
		p := &page{bytes: sizes.bytes}
		if err := s.readStreamPage(ctx, p, statement, stream, next, limit, first, &state); err != nil {
			return err
		}
		events := p.events
		if first && opts.Backwards && len(events) > 0 {
			next = min(next, max(events[0].Version, state.Version))
		}
		sizes.learn(events)
		for _, e := range events {
			if e.Version != next {
				return fmt.Errorf("%w: stream %q has no version %d", eventstore.ErrCorrupt, stream, next)
			}
			next = after(next, opts)
			if !state.shows(e) {
				continue
			}
			if !yield(e) {
				return nil
			}
			if left--; left == 0 {
				return nil
			}
		}
		first := state.FirstShown()
		if !p.full || next > state.Version || opts.Backwards && next < first {
			return nil
		}
		if !opts.Backwards {
			next = max(next, first)
		}
	}
}

// readStreamPage reads into p a page of a stream, and with the first one the state
// that says what may be shown.
func (s *Store) readStreamPage(ctx context.Context, p *page, statement, stream string, next int64, limit int, first bool, state *streamState) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	b := &pgx.Batch{}
	if first {
		s.queueStreamState(b, stream, state)
	}
	b.Queue(s.sql(statement), stream, next, limit).Query(func(rows pgx.Rows) error { return p.scan(rows, limit) })
	if err := s.cfg.Pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("read stream %q: %w", stream, translate(err))
	}
	if err := state.check(); err != nil {
		return err
	}
	return s.fill(ctx, p, stream)
}

func (st *streamState) shows(e eventstore.RecordedEvent) bool {
	return e.Version >= st.FirstShown() && e.Version <= st.Version && !e.RecordedAt.Before(st.oldest)
}

func after(version int64, opts eventstore.ReadOptions) int64 {
	if opts.Backwards {
		return version - 1
	}
	return version + 1
}
