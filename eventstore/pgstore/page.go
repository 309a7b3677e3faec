package pgstore

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

const eventColumns = `
SELECT e.position, e.stream_id, e.version, e.recorded_at, e.id, e.type_id, e.append_rest, e.data, e.metadata`

// rawEvent is a row of the log before its names are filled in.
type rawEvent struct {
	eventstore.RecordedEvent
	streamID int64
	typeID   int32
}

// scanEvents collects the rows of a query that selects eventColumns.
func scanEvents(rows pgx.Rows, into *[]rawEvent) error {
	var r rawEvent
	var rest int64
	_, err := pgx.ForEachRow(rows, []any{&r.Position, &r.streamID, &r.Version, &r.RecordedAt, &r.ID, &r.typeID, &rest, &r.Data, &r.Metadata}, func() error {
		r.AppendEnd = r.Position + rest
		r.RecordedAt = r.RecordedAt.UTC()
		*into = append(*into, r)
		// The next row must not be scanned into this one's bytes.
		r.Data, r.Metadata = nil, nil
		return nil
	})
	return err
}

// fill puts names in place of ids. If stream is not empty it is the name of all
// events' stream.
func (s *Store) fill(ctx context.Context, raw []rawEvent, stream string) ([]eventstore.RecordedEvent, error) {
	names := make(map[int64]string)
	for _, r := range raw {
		names[r.streamID] = stream
	}
	if stream == "" {
		if err := s.streamNames(ctx, s.cfg.Pool, names); err != nil {
			return nil, fmt.Errorf("look up stream names: %w", translate(err))
		}
	}
	events := make([]eventstore.RecordedEvent, len(raw))
	for i, r := range raw {
		key, ok := s.dictionary.typeByID(r.typeID)
		if !ok {
			if err := s.learnTypes(ctx, s.cfg.Pool); err != nil {
				return nil, fmt.Errorf("look up event types: %w", translate(err))
			}
			key, ok = s.dictionary.typeByID(r.typeID)
		}
		name := names[r.streamID]
		if !ok || name == "" {
			return nil, fmt.Errorf("%w: event at position %d refers to a type or stream that is missing", eventstore.ErrCorrupt, r.Position)
		}
		r.Stream, r.Type, r.SchemaVersion, r.ContentType = name, key.name, key.version, key.contentType
		events[i] = r.RecordedEvent
	}
	return events, nil
}

// filter is an eventstore.Filter in the form of statement arguments. A nil
// slice picks everything.
type filter struct {
	types      []int32
	categories []int32
	prefixes   []string
}

const selectFilter = `
SELECT coalesce((SELECT array_agg(t.id) FROM recount.event_types t WHERE t.name = ANY($1::text[])), '{}'),
       coalesce((SELECT array_agg(c.id) FROM recount.categories c WHERE c.name = ANY($2::text[])), '{}')`

// compile resolves a filter's names. Types and categories that nobody has
// written yet may come into being later, so it is done again for every page.
func (s *Store) compile(ctx context.Context, f eventstore.Filter) (filter, error) {
	var compiled filter
	if len(f.Types) > 0 || len(f.Categories) > 0 {
		err := s.cfg.Pool.QueryRow(ctx, s.sql(selectFilter), storable(f.Types), storable(f.Categories)).Scan(&compiled.types, &compiled.categories)
		if err != nil {
			return filter{}, fmt.Errorf("look up filter: %w", translate(err))
		}
	}
	if len(f.Types) == 0 {
		compiled.types = nil
	}
	if len(f.Categories) == 0 {
		compiled.categories = nil
	}
	if len(f.StreamPrefixes) > 0 {
		compiled.prefixes = storable(f.StreamPrefixes)
	}
	return compiled, nil
}

// storable leaves out names that no event can have, because PostgreSQL's text
// cannot hold them.
func storable(names []string) []string {
	list := make([]string, 0, len(names))
	for _, name := range names {
		if isStorable(name) {
			list = append(list, name)
		}
	}
	return list
}

func isStorable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

// The range of positions bounds every page; the filter is applied inside it.
const pageOfLog = eventColumns + `
FROM recount.events e
WHERE e.position BETWEEN $1 AND $2
ORDER BY e.position %s LIMIT $3`

const filteredPageOfLog = eventColumns + `
FROM recount.events e
WHERE e.position BETWEEN $1 AND $2
  AND ($4::int[] IS NULL OR e.type_id = ANY($4::int[]))
  AND ($5::int[] IS NULL OR e.category_id = ANY($5::int[]))
  AND ($6::text[] IS NULL OR EXISTS (
      SELECT FROM recount.streams s JOIN unnest($6::text[]) AS p(prefix) ON starts_with(s.name, p.prefix)
      WHERE s.id = e.stream_id))
ORDER BY e.position %s LIMIT $3`

// readRange reads the events picked by f with positions from low to high, at
// most limit, from the high end if backwards.
func (s *Store) readRange(ctx context.Context, f eventstore.Filter, low, high int64, limit int, backwards bool) ([]eventstore.RecordedEvent, error) {
	if err := failpoint.Fail(failpoint.ReadPage); err != nil {
		return nil, err
	}
	order := "ASC"
	if backwards {
		order = "DESC"
	}
	statement, args := pageOfLog, []any{low, high, limit}
	if !f.IsZero() {
		compiled, err := s.compile(ctx, f)
		if err != nil {
			return nil, err
		}
		statement = filteredPageOfLog
		args = append(args, compiled.types, compiled.categories, compiled.prefixes)
	}
	rows, err := s.cfg.Pool.Query(ctx, s.sql(fmt.Sprintf(statement, order)), args...)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", translate(err))
	}
	var raw []rawEvent
	if err := scanEvents(rows, &raw); err != nil {
		return nil, fmt.Errorf("read the log: %w", translate(err))
	}
	if f.IsZero() {
		if err := checkGapless(raw, low, high, limit, backwards); err != nil {
			return nil, err
		}
	}
	return s.fill(ctx, raw, "")
}

// checkGapless makes sure that an unfiltered page has every position that it
// must have.
func checkGapless(raw []rawEvent, low, high int64, limit int, backwards bool) error {
	want := min(high-low+1, int64(limit))
	next, step := low, int64(1)
	if backwards {
		next, step = high, -1
	}
	for _, r := range raw {
		if r.Position != next {
			break
		}
		next += step
		want--
	}
	if want > 0 {
		return missing(next)
	}
	return nil
}

func missing(position int64) error {
	return fmt.Errorf("%w: there is no event at position %d", eventstore.ErrCorrupt, position)
}
