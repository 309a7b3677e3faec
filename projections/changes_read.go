package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgsql"
)

// ChangeLog reads the changes of a projection's rows as if they were a log of events: their positions are numbers of the feed, from
// 1 and without gaps; the first may be gone. It has no streams.
//
// The event of a change has the type RowInserted, RowModified or RowRemoved, the stream <projection>-<key>, with a key of
// several columns as a JSON array, the position in the log as its version, and a Change as data. Its id is made of the
// event that changed the row. Where rows were replaced there is an event of type $RowsReplaced in the stream <projection>.
type ChangeLog struct {
	pool       *pgxpool.Pool
	schema     string
	log        eventstore.Reader
	projection string
	images     Images
}

var _ eventstore.Reader = (*ChangeLog)(nil)

// NewChangeLog returns the changes of a projection in a schema ("" is recount) that has the rows of a log, with the given
// images, as far as they are kept.
func NewChangeLog(pool *pgxpool.Pool, schema string, log eventstore.Reader, projection string, images Images) *ChangeLog {
	if schema == "" {
		schema = pgsql.DefaultSchema
	}
	return &ChangeLog{pool: pool, schema: schema, log: log, projection: projection, images: images}
}

// changesPoll is how often one looks for changes where nobody says that there are some.
const changesPoll = 500 * time.Millisecond

const (
	feedHeadSQL = `SELECT coalesce((SELECT last FROM {schema}.projection_feeds WHERE projection = $1), 0)`

	readChangesSQL = `
SELECT number, position, at, id, kind, coalesce(key::text, ''), CASE WHEN $5 THEN old::text END, CASE WHEN $6 OR kind = 'replace' THEN new::text END
FROM {schema}.projection_changes WHERE projection = $1 AND number >= $2 AND number <= $3 AND ($7::bigint[] IS NULL OR number = ANY ($7))
ORDER BY number `
)

// Head implements eventstore.Reader. The log and incarnation are those of the log.
func (l *ChangeLog) Head(ctx context.Context) (eventstore.Token, error) {
	head, err := l.log.Head(ctx)
	if err == nil {
		err = l.pool.QueryRow(ctx, pgsql.In(l.schema, feedHeadSQL), l.projection).Scan(&head.Position)
	}
	if err != nil {
		return head, fmt.Errorf("read the changes of %s: %w", l.projection, err)
	}
	return head, nil
}

// ReadStream implements eventstore.Reader: it always fails.
func (l *ChangeLog) ReadStream(context.Context, string, eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		yield(eventstore.RecordedEvent{}, fmt.Errorf("read the changes of %s by row: %w", l.projection, eventstore.ErrNotSupported))
	}
}

// ReadAll implements eventstore.Reader.
func (l *ChangeLog) ReadAll(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		err := o.ValidateReadAll()
		var head eventstore.Token
		if err == nil {
			head, err = l.Head(ctx)
		}
		if err != nil {
			yield(eventstore.RecordedEvent{}, err)
			return
		}
		o = o.WithDefaults()
		from, to := max(o.From, 1), head.Position
		switch {
		case o.Backwards && !o.After.IsZero():
			from, to = 1, o.After.Position-1
		case o.Backwards:
			from, to = 1, min(o.From, to)
		case !o.After.IsZero():
			from = o.After.Position + 1
		case len(o.Positions) > 0:
			from, to = o.Positions[0], min(to, o.Positions[len(o.Positions)-1])
		case o.Positions != nil:
			return
		}
		for left := o.Limit; ; {
			page, more, err := l.page(ctx, from, to, o)
			if err != nil {
				yield(eventstore.RecordedEvent{}, err)
				return
			}
			for _, e := range page {
				if !o.Filter.Match(e.Type, e.Stream) {
					continue
				}
				if left--; !yield(e, nil) || left == 0 {
					return
				}
			}
			switch {
			case !more:
				return
			case o.Backwards:
				to = page[len(page)-1].Position - 1
			default:
				from = page[len(page)-1].Position + 1
			}
		}
	}
}

// Subscribe implements eventstore.Reader.
func (l *ChangeLog) Subscribe(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	return func(yield func(eventstore.Batch, error) bool) {
		if err := o.ValidateSubscribe(); err != nil {
			yield(eventstore.Batch{}, err)
			return
		}
		o = o.WithDefaults()
		wake := make(chan struct{}, 1)
		defer l.hear(wake)()
		next := max(o.From, 1)
		if !o.After.IsZero() {
			next = o.After.Position + 1
		}
		for ctx.Err() == nil {
			head, err := l.Head(ctx)
			var page []eventstore.RecordedEvent
			var more bool
			if err == nil && next <= head.Position {
				page, more, err = l.page(ctx, next, head.Position, o)
			}
			switch {
			case ctx.Err() != nil:
			case err != nil:
				yield(eventstore.Batch{}, err)
				return
			case next > head.Position:
				waitFor(ctx, wake)
				continue
			}
			next = head.Position + 1
			if more {
				next = page[len(page)-1].Position + 1
			}
			events := slices.DeleteFunc(page, func(e eventstore.RecordedEvent) bool { return !o.Filter.Match(e.Type, e.Stream) })
			if ctx.Err() == nil && !yield(eventstore.Batch{Events: events, Next: next, Head: head}, nil) {
				return
			}
		}
		yield(eventstore.Batch{}, context.Cause(ctx))
	}
}

// hear wakes one who waits for changes when the database says that there are some, where the log's store hears of it.
func (l *ChangeLog) hear(wake chan struct{}) (stop func()) {
	store, ok := l.log.(interface {
		OnLeaseReleased(told func(of string)) (stop func())
	})
	if !ok {
		return func() {}
	}
	return store.OnLeaseReleased(func(of string) {
		if of == "" || of == changesOf(l.projection) {
			background.Wake(wake)
		}
	})
}

func waitFor(ctx context.Context, wake <-chan struct{}) {
	timer := time.NewTimer(changesPoll)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// page returns the first changes of a range, or the last, backwards, as many as a page may have, and whether there may be more.
func (l *ChangeLog) page(ctx context.Context, from, to int64, o eventstore.ReadOptions) (events []eventstore.RecordedEvent, more bool, err error) {
	sql := pgsql.In(l.schema, readChangesSQL)
	if o.Backwards {
		sql += "DESC "
	}
	rows, err := l.pool.Query(ctx, sql+"LIMIT $4", l.projection, from, to, o.PageSize, l.images.hasOld(), l.images.hasNew(),
		o.Positions)
	if err == nil {
		defer rows.Close()
		for bytes := 0; err == nil && bytes <= o.PageBytes && rows.Next(); {
			var e eventstore.RecordedEvent
			if e, err = l.scan(rows); err == nil {
				events, bytes, more = append(events, e), bytes+e.Size(), bytes+e.Size() > o.PageBytes
			}
		}
		rows.Close()
		err = cmp.Or(err, rows.Err())
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the changes of %s: %w", l.projection, err)
	}
	return events, more || len(events) == o.PageSize, nil
}

// scan reads a change as an event.
func (l *ChangeLog) scan(row pgx.Row) (e eventstore.RecordedEvent, err error) {
	var kind ChangeKind
	var key string
	var old, is *string
	if err := row.Scan(&e.Position, &e.Version, &e.RecordedAt, &e.ID, (*string)(&kind), &key, &old, &is); err != nil {
		return e, err
	}
	e.AppendEnd, e.RecordedAt = e.Position, e.RecordedAt.UTC()
	e.Type, e.SchemaVersion, e.ContentType = changeTypes[kind], 1, eventstore.ContentTypeJSON
	e.Stream = l.projection
	data := fmt.Appendf(nil, `{"kind":%q,"position":%d`, string(kind), e.Version)
	add := func(name string, text *string) {
		if text != nil {
			data = append(append(append(append(data, `,"`...), name...), `":`...), *text...)
		}
	}
	if kind == Replaced {
		add("rows", is)
	} else {
		id, err := keyText(key)
		if err != nil {
			return e, fmt.Errorf("change %d: %w", e.Position, err)
		}
		e.Stream += "-" + id
		add("key", &key)
		add("old", old)
		add("new", is)
	}
	e.Data = append(data, '}')
	return e, nil
}

// keyText returns a key, an object of its columns, as people write it: the value of a single column, a JSON array of several.
func keyText(object string) (string, error) {
	d := jsontext.NewDecoder(strings.NewReader(object))
	if _, err := d.ReadToken(); err != nil {
		return "", err
	}
	var values []jsontext.Value
	for d.PeekKind() != '}' {
		if err := d.SkipValue(); err != nil { // the name
			return "", err
		}
		value, err := d.ReadValue()
		if err != nil {
			return "", err
		}
		values = append(values, value.Clone())
	}
	switch {
	case len(values) == 0:
		return "", errors.New("it has no key")
	case len(values) == 1 && values[0].Kind() == '"':
		text, err := jsontext.AppendUnquote(nil, values[0])
		return string(text), err
	case len(values) == 1:
		return string(values[0]), nil
	}
	array := []byte{'['}
	for i, v := range values {
		if i > 0 {
			array = append(array, ',')
		}
		array = append(array, v...)
	}
	return string(append(array, ']')), nil
}

const keptSQL = `
SELECT coalesce(g.changes, '') FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation WHERE p.name = $1`

// Kept returns what the projection keeps of changes, by the program that ran it last; empty: none. The error may match
// ErrNotFound.
func (l *ChangeLog) Kept(ctx context.Context) (kept Images, err error) {
	err = notFound(l.pool.QueryRow(ctx, pgsql.In(l.schema, keptSQL), l.projection).Scan((*string)(&kept)))
	if err != nil {
		err = fmt.Errorf("changes of projection %q: %w", l.projection, err)
	}
	return kept, err
}
