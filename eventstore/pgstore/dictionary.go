package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// typeKey is what the dictionary of event types keeps in one row.
type typeKey struct {
	name        string
	version     int
	contentType string
}

func typeOf(e eventstore.Event) typeKey { return typeKey{e.Type, e.SchemaVersion, e.ContentType} }

func compareTypes(a, b typeKey) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.version, b.version), cmp.Compare(a.contentType, b.contentType))
}

// dictionary remembers committed rows of the small tables that events refer to.
// It never holds a row that could be rolled back.
type dictionary struct {
	mu sync.RWMutex
	// There are as many event types as programmers wrote.
	typeIDs map[typeKey]int32
	types   map[int32]typeKey
	// Categories and streams come from data.
	categories *lru.Cache[string, int32]
	streamsMu  sync.Mutex
	streams    *recent[int64, string]
}

func newDictionary(size int) *dictionary {
	// An error means a size below one, which Config rules out.
	categories, _ := lru.New[string, int32](size)
	return &dictionary{
		typeIDs: make(map[typeKey]int32), types: make(map[int32]typeKey),
		categories: categories, streams: newRecent[int64, string](size),
	}
}

// reset forgets everything: ids that a restore has lost are given out again.
func (d *dictionary) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.typeIDs)
	clear(d.types)
	d.categories.Purge()
	d.streamsMu.Lock()
	defer d.streamsMu.Unlock()
	d.streams.clear()
}

// nameStreams puts names to the events of a page, and returns the ids of the
// streams that are not remembered, in order.
func (d *dictionary) nameStreams(p *page) (missing []int64) {
	d.streamsMu.Lock()
	defer d.streamsMu.Unlock()
	for i, ids := range p.ids {
		if i > 0 && ids.stream == p.ids[i-1].stream {
			p.events[i].Stream = p.events[i-1].Stream
		} else if name, ok := d.streams.get(ids.stream); ok {
			p.events[i].Stream = name
		} else {
			missing = append(missing, ids.stream)
		}
	}
	return unique(missing)
}

// addStreams remembers the names of some ids.
func (d *dictionary) addStreams(ids []int64, names []string) {
	d.streamsMu.Lock()
	defer d.streamsMu.Unlock()
	for i, name := range names {
		if name != "" {
			d.streams.add(ids[i], name)
		}
	}
}

func (d *dictionary) addType(k typeKey, id int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.typeIDs[k], d.types[id] = id, k
}

func (d *dictionary) typeID(k typeKey) (int32, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	id, ok := d.typeIDs[k]
	return id, ok
}

func (d *dictionary) typeByID(id int32) (typeKey, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	k, ok := d.types[id]
	return k, ok
}

// references are the dictionary ids that a batch needs.
type references struct {
	types      map[typeKey]int32
	categories map[string]int32
}

// Reading goes first: an INSERT that meets its row still burns a sequence
// number.
const (
	insertTypes = `
INSERT INTO {schema}.event_types (name, schema_version, content_type)
SELECT u.name, u.schema_version, u.content_type
FROM unnest($1::text[], $2::int[], $3::text[]) AS u(name, schema_version, content_type)
WHERE NOT EXISTS (SELECT FROM {schema}.event_types t WHERE t.name = u.name
    AND t.schema_version = u.schema_version AND t.content_type = u.content_type)
ON CONFLICT DO NOTHING`
	selectTypes = `
SELECT t.name, t.schema_version, t.content_type, t.id
FROM unnest($1::text[], $2::int[], $3::text[]) AS u(name, schema_version, content_type)
JOIN {schema}.event_types t USING (name, schema_version, content_type)`
	insertCategories = `
INSERT INTO {schema}.categories (name)
SELECT u.name FROM unnest($1::text[]) AS u(name)
WHERE NOT EXISTS (SELECT FROM {schema}.categories c WHERE c.name = u.name)
ON CONFLICT DO NOTHING`
	selectCategories = `
SELECT c.name, c.id FROM {schema}.categories c WHERE c.name = ANY($1::text[])`
)

// unresolved are the names of a batch that have no ids yet, or none that this
// process remembers.
type unresolved struct {
	types      map[typeKey]bool
	categories map[string]bool
}

func (m unresolved) isEmpty() bool { return len(m.types) == 0 && len(m.categories) == 0 }

// lookUp returns the dictionary ids of a batch as far as they are remembered.
func (d *dictionary) lookUp(requests []*request) (references, unresolved) {
	refs := references{types: make(map[typeKey]int32), categories: make(map[string]int32)}
	miss := unresolved{types: make(map[typeKey]bool), categories: make(map[string]bool)}
	for _, r := range requests {
		for _, a := range r.appends {
			if len(a.Events) == 0 {
				continue
			}
			category := eventstore.Category(a.Stream)
			if id, ok := d.categories.Get(category); ok {
				refs.categories[category] = id
			} else {
				miss.categories[category] = true
			}
			for _, e := range a.Events {
				k := typeOf(withDefaults(e))
				if id, ok := d.typeID(k); ok {
					refs.types[k] = id
				} else {
					miss.types[k] = true
				}
			}
		}
	}
	return refs, miss
}

// lookUp returns the dictionary ids of a batch as far as they are remembered. It
// fails if readers have met another incarnation of the log than the one to append to:
// then they are of that one.
func (s *Store) lookUp(requests []*request) (references, unresolved, error) {
	refs, missing := s.dictionary.lookUp(requests)
	return refs, missing, s.checkIncarnation(s.incarnation())
}

// makeNames adds what is missing to refs, making rows that are not there in a
// transaction of its own: it must not be called while the log is locked.
func (s *Store) makeNames(ctx context.Context, q querier, refs references, miss unresolved) error {
	if err := s.makeTypes(ctx, q, refs, miss.types); err != nil {
		return fmt.Errorf("look up event types: %w", err)
	}
	failpoint.Hit(failpoint.AppendNames)
	if err := s.makeCategories(ctx, q, refs, miss.categories); err != nil {
		return fmt.Errorf("look up categories: %w", err)
	}
	return nil
}

func (s *Store) makeTypes(ctx context.Context, q querier, refs references, missing map[typeKey]bool) error {
	if len(missing) == 0 {
		return nil
	}
	var names, contentTypes []string
	var versions []int32
	// Sorted, so that two processes that make the same rows do not deadlock.
	for _, k := range slices.SortedFunc(maps.Keys(missing), compareTypes) {
		names, versions, contentTypes = append(names, k.name), append(versions, int32(k.version)), append(contentTypes, k.contentType)
	}
	if err := exec(ctx, q, s.sql(insertTypes), names, versions, contentTypes); err != nil {
		return err
	}
	rows, err := q.Query(ctx, s.sql(selectTypes), names, versions, contentTypes)
	if err != nil {
		return err
	}
	var k typeKey
	var id int32
	_, err = pgx.ForEachRow(rows, []any{&k.name, &k.version, &k.contentType, &id}, func() error {
		s.dictionary.addType(k, id)
		refs.types[k] = id
		return nil
	})
	return err
}

func (s *Store) makeCategories(ctx context.Context, q querier, refs references, missing map[string]bool) error {
	if len(missing) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(missing))
	if err := exec(ctx, q, s.sql(insertCategories), names); err != nil {
		return err
	}
	rows, err := q.Query(ctx, s.sql(selectCategories), names)
	if err != nil {
		return err
	}
	var name string
	var id int32
	_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		s.dictionary.categories.Add(name, id)
		refs.categories[name] = id
		return nil
	})
	return err
}

// exec runs one statement through the interface that pools, connections and
// transactions share.
func exec(ctx context.Context, q querier, sql string, args ...any) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}
