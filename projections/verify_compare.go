package projections

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/jsondiff"
	"github.com/57528e99/recount/internal/rowmap"
)

// verifyPass compares page by page, each in a statement of its own, so that no snapshot is held: a
// row whose last event is in the fold must be as the fold has it. The others, changed since, are
// compared again apart.
func (p *foldProjector[K, Row]) verifyPass(ctx context.Context, s pass, v *verifying) (done []int, total eventstore.Tally, err error) {
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
	err = p.eachStored(ctx, v, func(got stored[K]) error {
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

// recheckGroup is how many rows are compared again at once, unless they are large.
const recheckGroup = 5000

// recheck compares rows that changed since the pass. One statement reads them together with the
// checkpoint that they are at; the fold of their keys goes on to there.
func (p *foldProjector[K, Row]) recheck(ctx context.Context, v *verifying, again, differing *memory[K, Row]) error {
	for len(again.order) > 0 {
		group, bytes := newMemory(p), int64(0)
		for _, key := range again.order {
			e := again.entries[key]
			if bytes += e.size; len(group.order) == recheckGroup || len(group.order) > 0 && bytes > eventstore.DefaultPageBytes {
				break
			}
			group.take(key, e)
		}
		again.order = again.order[len(group.order):]
		got, position, err := p.storedAt(ctx, v.catalog.pool, v.catalog, v.generation, group)
		if err != nil {
			return err
		}
		rest := v.pass
		rest.from, rest.target = v.pass.target+1, position
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

// judge compares a row with what it should be; got is nil if there is none.
func (p *foldProjector[K, Row]) judge(v *verifying, differing *memory[K, Row], key K, want *entry[Row], got *stored[K]) error {
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
		d.Got, d.GotPosition = storedAs(p.layout.Row, got.values), got.position
	}
	v.result.Differences = append(v.result.Differences, d)
	differing.want(key)
	return nil
}

// explain finds the events behind the rows that differ.
func (p *foldProjector[K, Row]) explain(ctx context.Context, s pass, v *verifying, differing *memory[K, Row]) error {
	if len(differing.order) == 0 {
		return nil
	}
	// A row may say of itself that it is further, by mistake: events that were not applied may be such
	// that cannot be.
	var applied int64
	err := v.catalog.pool.QueryRow(ctx, v.catalog.sql(positionSQL), v.generation.projection, v.generation.number).Scan(&applied)
	if err != nil {
		return err
	}
	for _, d := range v.result.Differences {
		s.target = max(s.target, min(applied, max(d.GotPosition, d.WantPosition)))
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

// storedAs is shownAs for columns as a table has them.
func storedAs(columns rowmap.Columns, values []any) map[string]any {
	doc := make(map[string]any, len(columns))
	for i, c := range columns {
		doc[c.Name] = values[i]
		switch value := values[i].(type) {
		case time.Time:
			doc[c.Name] = value.UTC()
		case string:
			if c.Type == "jsonb" {
				doc[c.Name] = json.RawMessage(value)
			}
		}
	}
	return doc
}

// same reports whether a row of the table is as it should be. The table's columns are compared as
// they are stored: to scan them to a Row would hide what its types cannot tell apart.
func (p *foldProjector[K, Row]) same(want *entry[Row], got *stored[K]) (bool, error) {
	if want.row == nil || got == nil {
		return want.row == nil && got == nil, nil
	}
	if want.position != got.position {
		return false, nil
	}
	return p.sameRow(want.row, got)
}

func (p *foldProjector[K, Row]) sameRow(want *Row, got *stored[K]) (bool, error) {
	values, err := p.layout.Row.Args(reflect.ValueOf(want).Elem())
	if err != nil {
		return false, err
	}
	for i, c := range p.layout.Row {
		if !sameValue(c.Type, values[i], got.values[i]) {
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
	differences, err := jsondiff.Of([]byte(a), []byte(b))
	return err == nil && len(differences) == 0
}
