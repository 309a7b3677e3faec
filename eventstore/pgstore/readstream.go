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
	// now is the time of the database when it was read.
	now time.Time
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
		state.Stream = name
		err := row.Scan(&state.Version, &state.Deleted, &state.Tombstoned, &state.FirstVersion, &metadata, &state.now)
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
		return nil
	})
}

// checkReadable reports whether a stream of that name could be found at all.
func (s *Store) checkReadable(stream string) error {
	if err := s.usable(); err != nil {
		return err
	}
	if !isStorable(stream) {
		return notFound(stream)
	}
	return nil
}

func (st *streamState) check() error {
	switch {
	case !st.found:
		return notFound(st.Stream)
	case st.Deleted:
		return &eventstore.StreamDeletedError{Stream: st.Stream, Tombstoned: st.Tombstoned}
	}
	return nil
}

// A stream's events are looked up by its name. Their last column tells of marks
// and of metadata: most streams have neither, and need no second look.
const (
	streamColumns = eventColumns + `,
       e.flags & 6 <> 0 OR (SELECT ms.id FROM {schema}.streams ms WHERE ms.name = '$$' || $1) IS NOT NULL
FROM {schema}.events e
WHERE e.stream_id = (SELECT s.id FROM {schema}.streams s WHERE s.name = $1)`
	streamForwards = streamColumns + ` AND e.version >= $2
ORDER BY e.version LIMIT $3`
	streamBackwards = streamColumns + ` AND e.version <= $2
ORDER BY e.version DESC LIMIT $3`
)

// ReadStream implements eventstore.Reader.
func (s *Store) ReadStream(ctx context.Context, stream string, opts eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		p := pages.Get().(*page)
		if err := s.readStream(ctx, p, stream, opts, func(e eventstore.RecordedEvent) bool { return yield(e, nil) }); err != nil {
			// Whoever answers it together with others may still write into the page.
			yield(eventstore.RecordedEvent{}, err)
			return
		}
		p.recycle()
	}
}

// readStream reads a stream by way of a page.
func (s *Store) readStream(ctx context.Context, p *page, stream string, opts eventstore.ReadOptions, yield func(eventstore.RecordedEvent) bool) error {
	if err := opts.ValidateReadStream(); err != nil {
		return err
	}
	if err := s.checkReadable(stream); err != nil {
		return err
	}
	left := opts.Limit
	if left <= 0 {
		left = math.MaxInt64
	}
	next := opts.From
	if !opts.Backwards {
		next = max(next, 0)
	}
	sizes := newSizer(opts)
	p.bytes = sizes.bytes
	var state *streamState // nil: all of it is shown
	for first := true; ; first = false {
		// Events that are not shown do not count, so the page is not cut down to
		// what is left of the limit.
		limit := sizes.size()
		err := s.readStreamPage(ctx, p, stream, next, limit, first, opts.Backwards)
		if err != nil {
			return err
		}
		switch {
		case first && len(p.events) == 0 && (next == 0 || opts.Backwards && next > 0):
			err = notFound(stream)
		case first && (len(p.events) == 0 || p.full || p.marked || opts.Backwards):
			// What lies behind the page may be a mark.
			if state, err = s.readState(ctx, stream); err == nil {
				err = state.check()
			}
		case len(p.events) == 0:
			err = lacks(stream, next)
		}
		if err == nil {
			err = s.fill(ctx, p, stream)
		}
		if err != nil {
			return err
		}
		if first && opts.Backwards && len(p.events) > 0 {
			next = min(next, p.events[0].Version)
		}
		sizes.learn(p.events)
		for _, e := range p.events {
			if e.Version != next {
				return lacks(stream, next)
			}
			next = after(next, opts)
			if !state.shows(&e) {
				continue
			}
			if !yield(e) {
				return nil
			}
			if left--; left == 0 {
				return nil
			}
		}
		if state == nil || opts.Backwards && (!p.full || next < state.FirstShown()) {
			return nil
		}
		if !opts.Backwards {
			// More may have come since the page was read.
			if next = max(next, state.FirstShown()); next > state.Version {
				return nil
			}
		}
	}
}

// readStreamPage reads a page of a stream into p.
func (s *Store) readStreamPage(ctx context.Context, p *page, stream string, next int64, limit int, first, backwards bool) error {
	if first && !backwards && limit == firstPage {
		return s.loadPage(ctx, p, stream, next)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	statement := streamForwards
	if backwards {
		statement = streamBackwards
	}
	if err := s.queryPage(ctx, p, statement, stream, next, limit); err != nil {
		return fmt.Errorf("read stream %q: %w", stream, translate(err))
	}
	return nil
}

func notFound(stream string) error {
	return fmt.Errorf("stream %q: %w", stream, eventstore.ErrStreamNotFound)
}

func lacks(stream string, version int64) error {
	return fmt.Errorf("%w: stream %q has no version %d", eventstore.ErrCorrupt, stream, version)
}

func (st *streamState) shows(e *eventstore.RecordedEvent) bool {
	if st == nil {
		return true
	}
	return st.Visible(e, st.now)
}

func after(version int64, opts eventstore.ReadOptions) int64 {
	if opts.Backwards {
		return version - 1
	}
	return version + 1
}
