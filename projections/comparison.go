package projections

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/rowmap"
)

// stored is a row as the table has it.
type stored[K comparable, Row any] struct {
	key      K
	row      *Row
	position int64
}

// verifyPass compares page by page, each in a statement of its own, so that no snapshot is held: a
// row whose last event is in the fold must be as the fold has it. The others, changed since, are
// compared again apart.
func (p *foldProjector[K, Row]) verifyPass(ctx context.Context, s pass, v *verifying) (done []int, total tally, err error) {
	shards, total, err := p.foldLog(ctx, s)
	if err != nil {
		return nil, total, err
	}
	in := make(map[int]bool)
	for bucket := range s.buckets {
		if s.want(bucket) && shards[bucket%s.workers].held(bucket) {
			done, in[bucket] = append(done, bucket), true
		}
	}
	bucketFor := func(key K) int { return bucketOf(reflect.ValueOf(&key).Elem(), s.buckets) }
	differing := newMemory(p)
	again := newMemory(p)
	err = p.eachStored(ctx, v, func(got stored[K, Row]) error {
		bucket := bucketFor(got.key)
		if !in[bucket] {
			return nil
		}
		v.result.Rows++
		want := &entry[Row]{}
		if b := shards[bucket%s.workers].buckets[bucket]; b != nil && b.rows.entries[got.key] != nil {
			want = b.rows.entries[got.key]
		}
		want.stored = true
		if got.position > s.target {
			again.take(got.key, want)
			return nil
		}
		return p.judge(v, differing, got.key, want, &got)
	})
	if err != nil {
		return nil, total, err
	}
	for _, bucket := range done {
		if b := shards[bucket%s.workers].buckets[bucket]; b != nil {
			for _, key := range b.rows.order {
				if e := b.rows.entries[key]; e.row != nil && !e.stored {
					v.result.Rows++
					again.take(key, e)
				}
			}
		}
	}
	v.result.Rechecked += int64(len(again.order))
	if err := p.recheck(ctx, v, again, differing); err != nil {
		return nil, total, err
	}
	return done, total, p.explain(ctx, s, v, differing)
}

// take puts an entry that another memory has into m.
func (m *memory[K, Row]) take(key K, e *entry[Row]) {
	m.entries[key] = e
	m.order = append(m.order, key)
}

const comparePage = 2000

// eachStored reads the whole table in the order of its key.
func (p *foldProjector[K, Row]) eachStored(ctx context.Context, v *verifying, each func(stored[K, Row]) error) error {
	keys := list(p.layout.Key.Names())
	columns := list(append(append(p.layout.Key.Names(), positionColumn), p.layout.Row.Names()...))
	var after []any
	for {
		where := ""
		if after != nil {
			places := make([]string, len(after))
			for i, c := range p.layout.Key {
				places[i] = fmt.Sprintf("$%d::%s", i+1, c.Type)
			}
			where = fmt.Sprintf("WHERE (%s) > (%s)", keys, strings.Join(places, ", "))
		}
		sql := fmt.Sprintf("SELECT %s FROM %s %s ORDER BY %s LIMIT %d", columns, v.generation.table, where, keys, comparePage)
		rows, err := v.catalog.pool.Query(ctx, sql, after...)
		if err != nil {
			return err
		}
		page, err := pgx.CollectRows(rows, p.scanStored)
		if err != nil {
			return err
		}
		for _, row := range page {
			if err := each(row); err != nil {
				return err
			}
		}
		if len(page) < comparePage {
			return nil
		}
		if after, err = p.layout.Key.Args(reflect.ValueOf(page[len(page)-1].key)); err != nil {
			return err
		}
	}
}

func (p *foldProjector[K, Row]) scanStored(row pgx.CollectableRow) (s stored[K, Row], err error) {
	s.row = new(Row)
	key, value := reflect.ValueOf(&s.key).Elem(), reflect.ValueOf(s.row).Elem()
	targets := append(p.layout.Key.Targets(nil, key), &s.position)
	if err := row.Scan(p.layout.Row.Targets(targets, value)...); err != nil {
		return s, err
	}
	return s, p.normalize(key, value)
}

const recheckGroup = 5000

// recheck compares rows that changed since the pass. One statement reads them together with the
// checkpoint that they are at; the fold of their keys goes on to there.
func (p *foldProjector[K, Row]) recheck(ctx context.Context, v *verifying, again, differing *memory[K, Row]) error {
	for len(again.order) > 0 {
		group := newMemory(p)
		n := min(len(again.order), recheckGroup)
		for _, key := range again.order[:n] {
			group.take(key, again.entries[key])
		}
		again.order = again.order[n:]
		got, position, err := p.storedAt(ctx, v, group)
		if err != nil {
			return err
		}
		rest := v.pass
		rest.from, rest.target, rest.read = v.pass.target+1, position, nil
		if rest.skips, err = v.catalog.skipsUpTo(ctx, v.generation, position); err != nil {
			return err
		}
		if rest.target >= rest.from {
			if err := p.foldKeys(ctx, rest, group, nil); err != nil {
				return err
			}
		}
		for _, key := range group.order {
			if err := p.judge(v, differing, key, group.entries[key], got[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// storedAt reads the rows of the keys of m, and the checkpoint at which they are so.
func (p *foldProjector[K, Row]) storedAt(ctx context.Context, v *verifying, m *memory[K, Row]) (map[K]*stored[K, Row], int64, error) {
	args, casts, err := arrays(p.layout.Key, valuesOf(m.order), 3)
	if err != nil {
		return nil, 0, err
	}
	keys := p.layout.Key.Names()
	on := make([]string, len(keys))
	for i, key := range keys {
		on[i] = fmt.Sprintf("t.%[1]s = k.%[1]s", rowmap.Quote(key))
	}
	columns := list(append(append(p.layout.Key.Names(), positionColumn), p.layout.Row.Names()...))
	sql := fmt.Sprintf(v.catalog.sql(`SELECT g.position, r.* FROM {schema}.projection_generations g
		LEFT JOIN (SELECT k.n, t.* FROM unnest(%s) WITH ORDINALITY AS k (%s, n)
			CROSS JOIN LATERAL (SELECT %s FROM %s t WHERE %s OFFSET 0) t) r ON true
		WHERE g.projection = $1 AND g.generation = $2`), casts, list(keys), columns, v.generation.table, strings.Join(on, " AND "))
	rows, err := v.catalog.pool.Query(ctx, sql, append([]any{v.generation.projection, v.generation.number}, args...)...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	got := make(map[K]*stored[K, Row])
	var checkpoint int64
	found := false
	for rows.Next() {
		found = true
		// Without any of the rows there is one that has only the checkpoint.
		if rows.RawValues()[1] == nil {
			var nothing any
			targets := []any{&checkpoint}
			for range len(rows.RawValues()) - 1 {
				targets = append(targets, &nothing)
			}
			if err := rows.Scan(targets...); err != nil {
				return nil, 0, err
			}
			continue
		}
		s := &stored[K, Row]{row: new(Row)}
		var n int64
		key, value := reflect.ValueOf(&s.key).Elem(), reflect.ValueOf(s.row).Elem()
		targets := append(p.layout.Key.Targets([]any{&checkpoint, &n}, key), &s.position)
		if err := rows.Scan(p.layout.Row.Targets(targets, value)...); err != nil {
			return nil, 0, err
		}
		if err := p.normalize(key, value); err != nil {
			return nil, 0, err
		}
		got[s.key] = s
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if !found {
		return nil, 0, errors.New("the generation is gone")
	}
	return got, checkpoint, nil
}

// judge compares a row with what it should be; got is nil if there is none.
func (p *foldProjector[K, Row]) judge(v *verifying, differing *memory[K, Row], key K, want *entry[Row], got *stored[K, Row]) error {
	same, err := p.same(want, got)
	if err != nil || same {
		return err
	}
	v.result.Differing++
	if len(v.result.Differences) >= maxDifferences {
		return nil
	}
	d := Difference{Key: shownAs(p.layout.Key, reflect.ValueOf(key)), Events: []EventRef{}}
	if want.row != nil {
		d.Want, d.WantPosition = shownAs(p.layout.Row, reflect.ValueOf(want.row).Elem()), want.position
	}
	if got != nil {
		d.Got, d.GotPosition = shownAs(p.layout.Row, reflect.ValueOf(got.row).Elem()), got.position
	}
	v.result.Differences = append(v.result.Differences, d)
	differing.want(key)
	return nil
}

func (p *foldProjector[K, Row]) same(want *entry[Row], got *stored[K, Row]) (bool, error) {
	if want.row == nil || got == nil {
		return want.row == nil && got == nil, nil
	}
	if want.position != got.position {
		return false, nil
	}
	return p.sameRow(want.row, got.row)
}

func (p *foldProjector[K, Row]) sameRow(a, b *Row) (bool, error) {
	left, err := p.layout.Row.Args(reflect.ValueOf(a).Elem())
	if err != nil {
		return false, err
	}
	right, err := p.layout.Row.Args(reflect.ValueOf(b).Elem())
	if err != nil {
		return false, err
	}
	for i, c := range p.layout.Row {
		if !sameValue(c.Type, left[i], right[i]) {
			return false, nil
		}
	}
	return true, nil
}

// sameValue compares two parameters as PostgreSQL does.
func sameValue(sqlType string, a, b any) bool {
	switch left := a.(type) {
	case time.Time:
		right, ok := b.(time.Time)
		return ok && left.Equal(right)
	case []byte:
		right, ok := b.([]byte)
		return ok && (left == nil) == (right == nil) && bytes.Equal(left, right)
	case float64:
		right, ok := b.(float64)
		return ok && (left == right || left != left && right != right)
	case string:
		right, ok := b.(string)
		return ok && (left == right || sqlType == "jsonb" && sameJSON(left, right))
	default:
		return a == b
	}
}

func sameJSON(a, b string) bool {
	var left, right any
	return json.Unmarshal([]byte(a), &left) == nil && json.Unmarshal([]byte(b), &right) == nil && reflect.DeepEqual(left, right)
}

// explain finds the events behind the rows that differ.
func (p *foldProjector[K, Row]) explain(ctx context.Context, s pass, v *verifying, differing *memory[K, Row]) error {
	if len(differing.order) == 0 {
		return nil
	}
	s.read = nil
	for _, d := range v.result.Differences {
		s.target = max(s.target, d.GotPosition, d.WantPosition)
	}
	skips, err := v.catalog.skipsUpTo(ctx, v.generation, s.target)
	if err != nil {
		return err
	}
	s.skips = skips
	refs := make(map[K][]EventRef)
	err = p.foldKeys(ctx, s, differing, func(key K, e Recorded) {
		refs[key] = append(refs[key], refOf(e))
		if len(refs[key]) > maxRefs {
			refs[key] = refs[key][1:]
		}
	})
	first := len(v.result.Differences) - len(differing.order)
	for i, key := range differing.order {
		if len(refs[key]) > 0 {
			v.result.Differences[first+i].Events = refs[key]
		}
	}
	return err
}

// shownAs returns columns by name, as they are shown to people.
func shownAs(columns rowmap.Columns, v reflect.Value) map[string]any {
	doc := make(map[string]any, len(columns))
	for _, c := range columns {
		doc[c.Name] = c.Value(v)
	}
	return doc
}
