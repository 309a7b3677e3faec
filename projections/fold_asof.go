package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
)

var (
	// ErrAhead is returned for a moment that the log has not come to yet.
	ErrAhead = eventstore.NewError(eventstore.ClassBehind, "the log has not come that far")
	// ErrLongHistory is returned for a row that may rest on more events than may be read for it.
	ErrLongHistory = eventstore.NewError(eventstore.ClassTooLarge, "there are too many events to fold for one row")
)

// Moment is a place in the past of a log: everything up to it has happened.
type Moment struct {
	// Position, if it is not 0, is that of the last event that counts.
	Position int64
	// RecordedAt, if Position is 0, is the time up to which events count that were recorded then.
	// It is the time by the store's clock, not the business time in the events, and to the
	// microsecond. A time to come is the present.
	RecordedAt time.Time
}

// before reports whether an event came after the moment.
func (m Moment) before(e Recorded) bool {
	if m.Position != 0 {
		return e.Position > m.Position
	}
	return e.RecordedAt.After(m.RecordedAt)
}

// HistoryConfig says where a History reads.
type HistoryConfig struct {
	// Pool and Schema are those of Config: what an operator skipped is skipped here too. Without a
	// Pool there is no operator.
	Pool   *pgxpool.Pool
	Schema string
	// Store is the log, and Codec knows the types of its events.
	Store eventstore.Reader
	Codec *eventstore.Codec
	// Categories and IgnoreTypes are those of Config.
	Categories, IgnoreTypes []string
	// MaxEvents is how many events of the fold's types are read for one row at most. Default:
	// 100000.
	MaxEvents int
}

// History answers what rows were in the past. It is safe for concurrent use.
type History struct {
	config  HistoryConfig
	catalog *catalog
	knows   *vocabulary
}

// NewHistory returns access to the past of a log.
func NewHistory(c HistoryConfig) (*History, error) {
	if c.Store == nil || c.Codec == nil {
		return nil, errors.New("projections.HistoryConfig needs a Store and a Codec")
	}
	if c.Schema == "" {
		c.Schema = pgsql.DefaultSchema
	}
	if c.MaxEvents <= 0 {
		c.MaxEvents = 100_000
	}
	knows := newVocabulary(c.Store, c.Codec, c.IgnoreTypes, c.Categories)
	return &History{config: c, catalog: newCatalog(c.Pool, c.Schema, nil), knows: knows}, nil
}

// AsOf returns the row of one key as it was at a moment, folded from the events up to then; found
// is false if there was none. It does not depend on how far the projection is, nor on its table.
//
// Stream, if it is not empty, promises that only events of that stream touch the row. Then they are
// all that is read, unless the stream is deleted or its metadata hides some. Else the log is read
// from its first event, for the types that the fold handles.
//
// Errors: ErrAhead; ErrLongHistory, if more than MaxEvents events would have to be folded; those
// that match eventstore.ErrUnknownType and ErrUnknownVersion for events that a newer program has
// written.
func AsOf[K comparable, Row any](ctx context.Context, h *History, f *Fold[K, Row], key K, stream string, at Moment) (row Row, found bool, err error) {
	prepared, mistakes := f.prepare(h.config.Codec)
	if err := errors.Join(mistakes...); err != nil {
		return row, false, fmt.Errorf("projection %q: %w", f.Name(), err)
	}
	p := prepared.(*foldProjector[K, Row])
	if err := p.layout.Key.Normalize(reflect.ValueOf(&key).Elem()); err != nil {
		return row, false, err
	}
	head, err := h.config.Store.Head(ctx)
	if err != nil {
		return row, false, fmt.Errorf("read the log: %w", err)
	}
	if at.Position > head.Position {
		return row, false, fmt.Errorf("position %d is beyond %d: %w", at.Position, head.Position, ErrAhead)
	}
	skips, err := h.skips(ctx, f, p, head.Position)
	if err != nil {
		return row, false, err
	}
	m := newMemory(p)
	m.want(key)
	err = h.each(ctx, p.types(), stream, at, func(e Recorded) error {
		if skips[e.Position] || p.handlers[e.Type] == nil && h.config.Codec.Knows(e.Type) {
			return nil
		}
		if foreign, err := h.knows.isForeign(ctx, e); err != nil || foreign {
			return err
		}
		_, err := p.touch(m, h.config.Codec, e)
		return err
	})
	if err != nil || m.entries[key].row == nil {
		return row, false, err
	}
	return *m.entries[key].row, true, nil
}

// skips returns the events that are left out of the generation that this version reads.
func (h *History) skips(ctx context.Context, p Projection, runs projector, position int64) (map[int64]bool, error) {
	if h.config.Pool == nil {
		return nil, nil
	}
	g, err := h.catalog.serving(ctx, h.catalog.pool, p, runs)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	var skips map[int64]bool
	if err == nil {
		skips, err = h.catalog.skipsUpTo(ctx, g, position)
	}
	if err != nil {
		return nil, fmt.Errorf("projection %s: read what to skip: %w", p.Name(), err)
	}
	return skips, nil
}

// each calls f for the events up to a moment, of a stream or of the log.
func (h *History) each(ctx context.Context, types []string, stream string, at Moment, f func(Recorded) error) error {
	// One more than may be read tells whether there are more.
	limit := int64(h.config.MaxEvents) + 1
	filter := h.knows.filter(types)
	events := h.config.Store.ReadStream(ctx, stream, eventstore.ReadOptions{Limit: limit})
	if stream == "" {
		events = h.config.Store.ReadAll(ctx, eventstore.ReadOptions{Limit: limit, Filter: filter})
	} else if whole, err := h.isWhole(ctx, stream); err != nil {
		return err
	} else if !whole {
		filter.StreamPrefixes = []string{stream}
		events = h.config.Store.ReadAll(ctx, eventstore.ReadOptions{Limit: limit, Filter: filter})
	}
	read := 0
	for e, err := range events {
		switch {
		case errors.Is(err, eventstore.ErrStreamNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("read the log: %w", err)
		case at.before(&e):
			return nil
		}
		if read++; read > h.config.MaxEvents {
			return fmt.Errorf("more than %d: %w", h.config.MaxEvents, ErrLongHistory)
		}
		if stream != "" && e.Stream != stream {
			continue
		}
		if err := f(&e); err != nil {
			return err
		}
	}
	return nil
}

// isWhole reports whether ReadStream yields everything that was ever appended to a stream, which
// may be nothing.
func (h *History) isWhole(ctx context.Context, stream string) (bool, error) {
	manager, ok := h.config.Store.(eventstore.StreamManager)
	if !ok {
		return false, nil
	}
	info, err := manager.StreamInfo(ctx, stream)
	switch {
	case errors.Is(err, eventstore.ErrStreamNotFound):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look at stream %q: %w", stream, err)
	}
	return !info.Deleted && info.FirstShown() == 0 && info.Metadata.MaxAge == 0, nil
}
