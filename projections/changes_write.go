package projections

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/rowmap"
)

// keptChanges says what a projection keeps of changes; no images: nothing.
type keptChanges struct {
	projection string
	images     Images
	kept       time.Duration
}

func (t Table) keeps() keptChanges {
	return keptChanges{t.Name, t.Changes, cmp.Or(t.ChangesKept, defaultChangesKept)}
}

// keepsOf returns what a projection keeps.
func keepsOf(runs projector) keptChanges {
	if fold, ok := runs.(bulk); ok {
		return fold.keepsChanges()
	}
	return keptChanges{}
}

func (p *foldProjector[K, Row]) keepsChanges() keptChanges { return p.keeps }

// columns are what the record of a generation has of it.
func (k keptChanges) columns() (images *string, kept *time.Duration) {
	if k.images == "" {
		return nil, nil
	}
	return new(string(k.images)), &k.kept
}

// capture notes what events do to rows, event by event: a batch is one write to the table, however it is cut, and the
// feed must not depend on that.
type capture[K comparable, Row any] struct {
	projector *foldProjector[K, Row]
	// images has the rows as they are, nil where there is none.
	images map[K][]byte
	list   []captured
	bytes  int
}

// captured is a change as it is written.
type captured struct {
	position      int64
	id            uuid.UUID
	kind          ChangeKind
	key, old, new []byte
}

func (p *foldProjector[K, Row]) newCapture() *capture[K, Row] {
	c := &capture[K, Row]{projector: p}
	if p.keeps.images != "" {
		c.images = make(map[K][]byte)
	}
	return c
}

// apply does the changes of one event to m, and notes them if that is to be kept.
func (c *capture[K, Row]) apply(m *memory[K, Row], cs changes[K, Row], e Recorded) error {
	if c.projector.keeps.images == "" {
		return m.apply(cs, e.Position)
	}
	if err := c.before(m, cs); err != nil {
		return err
	}
	if err := m.apply(cs, e.Position); err != nil {
		return err
	}
	return c.after(m, cs, e)
}

// before notes the rows that an event is going to change.
func (c *capture[K, Row]) before(m *memory[K, Row], cs changes[K, Row]) error {
	for i := range cs {
		key := cs[i].key
		if _, noted := c.images[key]; noted {
			continue
		}
		image, err := c.image(m.entries[key])
		if err != nil {
			return err
		}
		c.images[key] = image
	}
	return nil
}

// after notes what an event has changed. A row that ends as it began is no change.
func (c *capture[K, Row]) after(m *memory[K, Row], cs changes[K, Row], e Recorded) error {
	n := 0
	for i := range cs {
		key := cs[i].key
		was := c.images[key]
		is, err := c.image(m.entries[key])
		if err != nil {
			return err
		}
		// A row that the event changes twice is seen the first time; the second time it is as it was noted.
		if bytes.Equal(was, is) && (was == nil) == (is == nil) {
			continue
		}
		c.images[key] = is
		change, err := c.projector.change(key, was, is)
		if err != nil {
			return err
		}
		change.position = e.Position
		change.id = uuid.NewSHA1(e.ID, []byte(e.Stream+"\x00"+c.projector.keeps.projection+"\x00"+strconv.Itoa(n)))
		c.list = append(c.list, change)
		c.bytes += len(change.key) + len(change.old) + len(change.new)
		n++
	}
	return nil
}

func (c *capture[K, Row]) image(e *entry[Row]) ([]byte, error) {
	if e == nil || e.row == nil {
		return nil, nil
	}
	columns := c.projector.layout.Row
	args, err := columns.Args(reflect.ValueOf(e.row).Elem())
	if err != nil {
		return nil, err
	}
	return imageOf(columns, args)
}

// change returns a change of a row, nil being none, with the images that are kept.
func (p *foldProjector[K, Row]) change(key K, was, is []byte) (c captured, err error) {
	switch {
	case was == nil:
		c.kind = Inserted
	case is == nil:
		c.kind = Removed
	default:
		c.kind = Modified
	}
	if p.keeps.images.hasOld() {
		c.old = was
	}
	if p.keeps.images.hasNew() {
		c.new = is
	}
	args, err := p.layout.Key.Args(reflect.ValueOf(key))
	if err == nil {
		c.key, err = imageOf(p.layout.Key, args)
	}
	return c, err
}

// imageOf returns columns, with their values as Args returns them, as a JSON object in their order.
func imageOf(columns rowmap.Columns, args []any) ([]byte, error) {
	image := []byte{'{'}
	for i, c := range columns {
		if i > 0 {
			image = append(image, ',')
		}
		var err error
		if image, err = jsontext.AppendQuote(image, c.Name); err != nil {
			return nil, err
		}
		image = append(image, ':')
		switch v := args[i].(type) {
		case string:
			if c.Type == "jsonb" {
				image = append(image, v...)
				continue
			}
			image, err = jsontext.AppendQuote(image, v)
		case float64:
			image, err = appendFloat(image, v)
		case time.Time:
			image, err = appendJSON(image, v.UTC())
		default:
			image, err = appendJSON(image, v)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	return append(image, '}'), nil
}

// appendFloat appends what JSON has no number for as PostgreSQL does.
func appendFloat(to []byte, v float64) ([]byte, error) {
	switch {
	case math.IsNaN(v):
		return append(to, `"NaN"`...), nil
	case math.IsInf(v, 1):
		return append(to, `"Infinity"`...), nil
	case math.IsInf(v, -1):
		return append(to, `"-Infinity"`...), nil
	}
	return appendJSON(to, v)
}

func appendJSON(to []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(to, text...), err
}

// recordChangesSQL writes changes behind the move of the checkpoint, whose lock keeps others from numbering them: into the
// feed if the view shows the generation. Else those that the rows in view do not have yet are laid aside.
const recordChangesSQL = `
WITH live AS (
    SELECT p.live_generation = $2 AS own, g.position
    FROM {schema}.projections p JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation
    WHERE p.name = $1),
entry AS (
    SELECT * FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]) WITH ORDINALITY
        AS e (position, id, kind, key, old, new, n)),
feed AS (
    UPDATE {schema}.projection_feeds SET last = last + $3, last_at = greatest(last_at, clock_timestamp())
    WHERE projection = $1 AND (SELECT own FROM live) RETURNING last - $3 AS before, last_at AS at),
fed AS (
    INSERT INTO {schema}.projection_changes (projection, number, position, at, id, kind, key, old, new)
    SELECT $1, feed.before + e.n, e.position, feed.at, e.id::uuid, e.kind, e.key::json, e.old::json, e.new::json FROM entry e, feed),
ahead AS (
    INSERT INTO {schema}.projection_changes_ahead (projection, generation, position, ordinal, id, kind, key, old, new)
    SELECT $1, $2, e.position, e.n, e.id::uuid, e.kind, e.key::json, e.old::json, e.new::json
    FROM entry e, live WHERE NOT live.own AND e.position > live.position),
passed AS (
    DELETE FROM {schema}.projection_changes_ahead a USING live
    WHERE a.projection = $1 AND a.generation = $2 AND NOT live.own AND a.position <= live.position)
SELECT pg_notify($10, $11) FROM feed`

// recordChanges returns the statement that writes changes of a generation; nil if there are none.
func (g generation) recordChanges(list []captured) []statement {
	if len(list) == 0 {
		return nil
	}
	positions := make([]int64, len(list))
	ids, kinds, keys := make([]string, len(list)), make([]string, len(list)), make([]string, len(list))
	olds, news := make([]*string, len(list)), make([]*string, len(list))
	for i, c := range list {
		positions[i], ids[i], kinds[i], keys[i] = c.position, c.id.String(), string(c.kind), string(c.key)
		olds[i], news[i] = textOrNil(c.old), textOrNil(c.new)
	}
	return []statement{{pgsql.In(g.table.schema, recordChangesSQL), []any{g.projection, g.number, int64(len(list)),
		positions, ids, kinds, keys, olds, news, pgsql.Channel(g.table.schema), lease.Released + changesOf(g.projection)}}}
}

func textOrNil(b []byte) *string {
	if b == nil {
		return nil
	}
	text := string(b)
	return &text
}

// changesPrefix begins what is said, like the name of a lease that was given back, of a feed that has more: see pgstore's
// OnLeaseReleased.
const changesPrefix = "$changes "

func changesOf(projection string) string { return changesPrefix + projection }

const inViewSQL = `SELECT live_generation = $2 FROM {schema}.projections WHERE name = $1`

// recordRepair writes what a repair has changed into the feed, if the view shows the rows.
func (p *foldProjector[K, Row]) recordRepair(ctx context.Context, tx pgx.Tx, g generation, position int64, key K, old *stored[K], now *entry[Row]) error {
	var shown bool
	err := tx.QueryRow(ctx, pgsql.In(g.table.schema, inViewSQL), g.projection, g.number).Scan(&shown)
	if err != nil || !shown {
		return err
	}
	var was []byte
	if old != nil {
		if was, err = imageOf(p.layout.Row, old.values); err != nil {
			return err
		}
	}
	is, err := p.newCapture().image(now)
	if err != nil {
		return err
	}
	change, err := p.change(key, was, is)
	if err != nil {
		return err
	}
	change.position, change.id = position, uuid.New()
	for _, s := range g.recordChanges([]captured{change}) {
		if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}
