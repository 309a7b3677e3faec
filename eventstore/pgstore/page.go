package pgstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgsession"
)

const eventColumns = `
SELECT e.position, e.stream_id, e.version, e.recorded_at, e.id, e.type_id, e.append_rest, e.data, e.metadata`

// page is rows of the log. Fill makes them whole.
type page struct {
	events []eventstore.RecordedEvent
	// ids are what their streams and types have in place of names.
	ids []nameIDs
	// bytes is how many bytes of data and metadata it may hold, one event that is
	// larger aside, and held how many it does; full says that there was no room for more events.
	bytes, held int
	full        bool
	// marked says that not all of a stream may be shown, as some row did.
	marked bool
	arena  arena
}

// pages are pages to use again: most streams are short, and making room for their events took a
// tenth of the time of loading them.
var pages = sync.Pool{New: func() any { return new(page) }}

// recycle lets another read use the page. Its events keep their bytes.
func (p *page) recycle() {
	if cap(p.events) <= firstPage {
		clear(p.events)
		p.reset()
		pages.Put(p)
	}
}

// errPageFull ends the scanning of rows.
var errPageFull = errors.New("the page is full")

type nameIDs struct {
	stream int64
	typ    int32
}

// row is a row of a query that selects eventColumns, and what may follow them.
type row struct {
	event eventstore.RecordedEvent
	ids   nameIDs
	// marked says that not all of the stream may be shown.
	marked bool
}

// scan collects the rows of a query, limit of them at most.
func (p *page) scan(rows pgx.Rows, limit int) error {
	err := scanRows(rows, &p.arena, func(r *row) error {
		if !p.add(r, limit) {
			return errPageFull
		}
		return nil
	})
	if errors.Is(err, errPageFull) {
		return nil
	}
	return err
}

// add reports whether there was room for the row.
func (p *page) add(r *row, limit int) bool {
	if p.held += r.event.Size(); p.held > p.bytes && len(p.events) > 0 {
		p.full = true
		return false
	}
	p.events, p.ids = append(p.events, r.event), append(p.ids, r.ids)
	p.marked = p.marked || r.marked
	p.full = len(p.events) == limit
	return true
}

// scanRows reads rows, with bytes of an arena. Each must not keep the row, but may its event.
func scanRows(rows pgx.Rows, bytes *arena, each func(*row) error) error {
	defer rows.Close()
	var r row
	columns := rows.FieldDescriptions()
	isBinary := !slices.ContainsFunc(columns, func(c pgconn.FieldDescription) bool { return c.Format != pgx.BinaryFormatCode })
	for rows.Next() {
		if isBinary {
			r.decode(rows.RawValues(), bytes)
		} else if err := r.scan(rows, len(columns)); err != nil {
			return err
		}
		if err := each(&r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scan reads a row however its values are written.
func (r *row) scan(rows pgx.Rows, columns int) error {
	e := &r.event
	e.Data, e.Metadata = nil, nil // the last row keeps its own
	var rest int64
	into := []any{&e.Position, &r.ids.stream, &e.Version, &e.RecordedAt, (*[16]byte)(&e.ID), &r.ids.typ, &rest, &e.Data, &e.Metadata, &r.marked}
	err := rows.Scan(into[:columns]...)
	e.RecordedAt = e.RecordedAt.UTC()
	e.AppendEnd = e.Position + rest
	return err
}

// decode is scan for values in PostgreSQL's binary format, in a fifth of the time.
func (r *row) decode(values [][]byte, bytes *arena) {
	// The epoch of timestamps, in microseconds.
	const epoch = 946_684_800_000_000
	integer := func(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }
	e := &r.event
	e.Position, r.ids.stream, e.Version = integer(values[0]), integer(values[1]), integer(values[2])
	e.RecordedAt = time.UnixMicro(integer(values[3]) + epoch).UTC()
	copy(e.ID[:], values[4])
	r.ids.typ = int32(binary.BigEndian.Uint32(values[5]))
	e.AppendEnd = e.Position + int64(binary.BigEndian.Uint32(values[6]))
	e.Data, e.Metadata = bytes.own(values[7]), bytes.own(values[8])
	r.marked = len(values) > 9 && values[9][0] != 0
}

// arena makes copies of bytes, many small ones in one piece.
type arena []byte

func (a *arena) own(b []byte) []byte {
	const piece = 4 << 10
	if len(b) > piece/4 {
		return slices.Clone(b)
	}
	if cap(*a)-len(*a) < len(b) {
		*a = make([]byte, 0, piece)
	}
	start := len(*a)
	*a = append(*a, b...)
	return (*a)[start:len(*a):len(*a)]
}

// reset forgets the rows of a try that failed.
func (p *page) reset() {
	p.events, p.ids, p.held, p.full, p.marked = p.events[:0], p.ids[:0], 0, false, false
}

// scanPage reads the rows of a statement into p, limit of them at most.
func (s *Store) scanPage(ctx context.Context, p *page, limit int, statement string, args ...any) error {
	return pgsession.Retry(ctx, func() error {
		p.reset()
		rows, err := s.cfg.Pool.Query(ctx, s.sql(statement), args...)
		if err != nil {
			return err
		}
		return p.scan(rows, limit)
	})
}

// fill puts names in place of ids. If stream is not empty it is the name of all
// events' stream.
func (s *Store) fill(ctx context.Context, p *page, stream string) error {
	if stream == "" {
		if err := s.nameStreams(ctx, s.cfg.Pool, p); err != nil {
			return fmt.Errorf("look up stream names: %w", translate(err))
		}
	}
	for i, ids := range p.ids {
		e := &p.events[i]
		if stream != "" {
			e.Stream = stream
		}
		key, ok := s.dictionary.typeByID(ids.typ)
		if !ok {
			if err := s.learnTypes(ctx, s.cfg.Pool); err != nil {
				return fmt.Errorf("look up event types: %w", translate(err))
			}
			key, ok = s.dictionary.typeByID(ids.typ)
		}
		if !ok || e.Stream == "" {
			return fmt.Errorf("%w: event at position %d refers to a type or stream that is missing", eventstore.ErrCorrupt, e.Position)
		}
		e.Type, e.SchemaVersion, e.ContentType = key.name, key.version, key.contentType
	}
	return nil
}

// filter is an eventstore.Filter in the form of statement arguments. A nil
// slice picks everything.
type filter struct {
	types      []int32
	categories []int32
	prefixes   []string
	// others are types that are picked too, but in the categories except.
	others, except []int32
}

const selectFilter = `
SELECT coalesce((SELECT array_agg(t.id) FROM {schema}.event_types t WHERE t.name = ANY($1::text[])), '{}'),
       coalesce((SELECT array_agg(c.id) FROM {schema}.categories c WHERE c.name = ANY($2::text[])), '{}'),
       coalesce((SELECT array_agg(t.id) FROM {schema}.event_types t
                 WHERE t.name <> ALL($3::text[]) AND NOT starts_with(t.name, '$')), '{}'),
       coalesce((SELECT array_agg(c.id) FROM {schema}.categories c WHERE c.name = ANY($4::text[])), '{}')`

// compile resolves a filter's names. Types and categories that nobody has
// written yet may come into being later, so it is done again for every page.
func (s *Store) compile(ctx context.Context, f eventstore.Filter) (filter, error) {
	var compiled filter
	if len(f.Types) > 0 || len(f.Categories) > 0 {
		others := eventstore.Others{}
		if f.Others != nil {
			others = *f.Others
		}
		err := s.cfg.Pool.QueryRow(ctx, s.sql(selectFilter), storable(f.Types), storable(f.Categories),
			storable(others.Known), storable(others.Except)).Scan(
			&compiled.types, &compiled.categories, &compiled.others, &compiled.except)
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
	if f.Others == nil {
		compiled.others = nil
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

// The range of positions bounds every page; the filter is applied inside it. The name of a stream is looked
// up for each event: with EXISTS the planner reads all streams, however short the page is.
const pageOfLog = eventColumns + `
FROM {schema}.events e
WHERE e.position BETWEEN $1 AND $2
ORDER BY e.position %s LIMIT $3`

const filteredPageOfLog = eventColumns + `
FROM {schema}.events e
WHERE e.position BETWEEN $1 AND $2
  AND ($4::int[] IS NULL OR e.type_id = ANY($4::int[])
       OR e.type_id = ANY($7::int[]) AND e.category_id <> ALL($8::int[]))
  AND ($5::int[] IS NULL OR e.category_id = ANY($5::int[]))
  AND ($6::text[] IS NULL OR (SELECT s.name FROM {schema}.streams s WHERE s.id = e.stream_id) ^@ ANY($6::text[]))
ORDER BY e.position %s LIMIT $3`

// readRange reads into p the events picked by f with positions from low to high,
// at most limit, from the high end if backwards. It returns those of p, which
// may have been another page before.
func (s *Store) readRange(ctx context.Context, p *page, f eventstore.Filter, low, high int64, limit int, backwards bool) ([]eventstore.RecordedEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
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
		args = append(args, compiled.types, compiled.categories, compiled.prefixes, compiled.others, compiled.except)
	}
	room := min(limit, int(high-low+1))
	p.events, p.ids = slices.Grow(p.events[:0], room), slices.Grow(p.ids[:0], room)
	if err := s.scanPage(ctx, p, limit, fmt.Sprintf(statement, order), args...); err != nil {
		return nil, fmt.Errorf("read the log: %w", translate(err))
	}
	if p.full {
		limit = len(p.events)
	}
	if f.IsZero() {
		if err := checkGapless(p.events, low, high, limit, backwards); err != nil {
			return nil, s.explainGap(ctx, high, err)
		}
	}
	return p.events, s.fill(ctx, p, "")
}

// checkGapless makes sure that an unfiltered page has every position that it
// must have.
func checkGapless(events []eventstore.RecordedEvent, low, high int64, limit int, backwards bool) error {
	want := min(high-low+1, int64(limit))
	next, step := low, int64(1)
	if backwards {
		next, step = high, -1
	}
	for i := range events {
		if events[i].Position != next {
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

// explainGap tells a log that was damaged from one that a backup took the place
// of since its end was read. That one can be read again, as far as it goes.
func (s *Store) explainGap(ctx context.Context, high int64, gap error) error {
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	if head.Position >= high {
		return gap
	}
	s.hub.reset()
	return fmt.Errorf("read the log: %w: it ends at position %d and went to %d before: a backup took its place",
		eventstore.ErrUnavailable, head.Position, high)
}

func missing(position int64) error {
	return fmt.Errorf("%w: there is no event at position %d", eventstore.ErrCorrupt, position)
}
