package pattern

import (
	"iter"
	"math"
	"sync"
	"sync/atomic"
)

// Matcher finds those of many patterns that an event matches. Each pattern has an id of the caller's.
// The zero value is ready and has none. All methods may be called at the same time: a change makes
// a new version, and who matches goes on with the one before.
//
// A new pattern goes into a small index, which is made anew with each change. It is merged into the
// large one when it has more than the root of its patterns: the change that does it takes longer, some
// 10 µs for each pattern.
type Matcher[ID comparable] struct {
	version atomic.Pointer[Version[ID]]

	mu      sync.Mutex // of what follows
	places  map[ID]int // of all patterns that are there, in those of the large index, then those of the small
	large   []entry[ID]
	small   []entry[ID]
	removed []bool // in the large index; never changed, but replaced
	gone    int    // how many are
}

type entry[ID comparable] struct {
	id      ID
	pattern *Pattern
}

// Version is what a Matcher had at some time. It never changes.
type Version[ID comparable] struct {
	// base is the trie of the large index, trie that of both.
	base, trie trie
	members    [fields]*node
	large      *index
	small      *index
	largeIDs   []ID
	smallIDs   []ID
	removed    []bool // of the large index
}

// minSmall is how many patterns the small index may have at least before it is merged.
const minSmall = 16

// Len returns how many patterns there are.
func (m *Matcher[ID]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.places)
}

// Add adds a pattern, in place of the one of the same id if there is one.
func (m *Matcher[ID]) Add(id ID, p *Pattern) {
	m.AddAll(func(yield func(ID, *Pattern) bool) { yield(id, p) })
}

// AddAll adds patterns in one change, as Add does: many that way cost little more than one.
func (m *Matcher[ID]) AddAll(patterns iter.Seq2[ID, *Pattern]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.places == nil {
		m.places = make(map[ID]int)
	}
	removed := m.removal()
	for id, p := range patterns {
		removed.remove(id)
		m.places[id] = len(m.large) + len(m.small)
		m.small = append(m.small, entry[ID]{id, p})
	}
	m.publish()
}

// Remove removes patterns in one change. An id that is not there is no error.
func (m *Matcher[ID]) Remove(ids ...ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	removed := m.removal()
	for _, id := range ids {
		removed.remove(id)
	}
	m.publish()
}

// removal removes patterns in one change.
type removal[ID comparable] struct {
	m      *Matcher[ID]
	copied bool
}

func (m *Matcher[ID]) removal() *removal[ID] { return &removal[ID]{m: m} }

func (r *removal[ID]) remove(id ID) {
	m := r.m
	place, ok := m.places[id]
	if !ok {
		return
	}
	delete(m.places, id)
	if place < len(m.large) {
		if !r.copied { // others read what there is
			m.removed, r.copied = append(make([]bool, 0, len(m.large)), m.removed...)[:len(m.large)], true
		}
		m.removed[place] = true
		m.gone++
		return
	}
	place -= len(m.large)
	last := len(m.small) - 1
	if place != last {
		m.small[place] = m.small[last]
		m.places[m.small[place].id] = len(m.large) + place
	}
	m.small[last] = entry[ID]{}
	m.small = m.small[:last]
}

// publish makes a version of what there is.
func (m *Matcher[ID]) publish() {
	v := &Version[ID]{}
	before := m.version.Load()
	if before == nil || len(m.small)+m.gone > max(minSmall, int(math.Sqrt(float64(len(m.large))))) {
		var all []entry[ID]
		for i, e := range m.large {
			if m.removed == nil || !m.removed[i] {
				all = append(all, e)
			}
		}
		m.large, m.small, m.removed, m.gone = append(all, m.small...), nil, nil, 0
		for i, e := range m.large {
			m.places[e.id] = i
		}
		g := &growth{}
		v.large, v.largeIDs = build(m.large, g)
		v.base = g.trie
	} else {
		v.large, v.largeIDs, v.base = before.large, before.largeIDs, before.base
	}
	g := v.base.grow()
	v.small, v.smallIDs = build(m.small, g)
	v.trie, v.removed = g.trie, m.removed
	for i, name := range envelope {
		v.members[i] = v.trie.root.child(name)
	}
	m.version.Store(v)
}

func build[ID comparable](entries []entry[ID], g *growth) (*index, []ID) {
	patterns, ids := make([]*Pattern, len(entries)), make([]ID, len(entries))
	for i, e := range entries {
		patterns[i], ids[i] = e.pattern, e.id
	}
	return newIndex(patterns, g), ids
}

// Match appends the ids of the patterns that an event matches, each once, in no order. The event must
// not change meanwhile. It allocates nothing as a rule but what ids need.
func (m *Matcher[ID]) Match(e *Event, ids []ID) []ID { return m.Version().Match(e, ids) }

// Version returns what there is now, for several events that are to be matched alike.
func (m *Matcher[ID]) Version() *Version[ID] { return m.version.Load() }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxKeptLeaves bounds what is kept of the scratch of an unusual event.
const maxKeptLeaves = 1 << 14

// Match is that of a Matcher. A nil Version has no patterns.
func (v *Version[ID]) Match(e *Event, ids []ID) []ID {
	if v == nil {
		return ids
	}
	s := scratches.Get().(*scratch)
	s.scan(e, &v.trie, &v.members)
	s.tried = grown(s.tried, len(v.large.ways)+len(v.small.ways))
	s.found = grown(s.found, len(v.largeIDs)+len(v.smallIDs))
	s.matched = s.matched[:0]
	(&lookup{index: v.large, scratch: s, removed: v.removed}).find()
	for _, i := range s.matched {
		ids = append(ids, v.largeIDs[i])
	}
	if len(v.smallIDs) > 0 {
		s.matched = s.matched[:0]
		(&lookup{index: v.small, scratch: s, firstWay: int32(len(v.large.ways)), firstPattern: int32(len(v.largeIDs))}).find()
		for _, i := range s.matched {
			ids = append(ids, v.smallIDs[i])
		}
	}
	s.release()
	return ids
}

// release gives the scratch back, without what it knows of the event.
func (s *scratch) release() {
	if cap(s.leaves) <= maxKeptLeaves {
		clear(s.leaves)
		scratches.Put(s)
	}
}
