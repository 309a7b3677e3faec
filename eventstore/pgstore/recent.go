package pgstore

// recent remembers the values that were added or looked up last: at least size
// of them, at most twice as many. It has two maps: when the newer one is full it
// becomes the older one, and what that one held is forgotten. Keeping a list in
// the order of use took a tenth of the time of appends, and as much of the
// garbage collector's.
type recent[K comparable, V any] struct {
	size         int
	newer, older map[K]V
}

func newRecent[K comparable, V any](size int) *recent[K, V] {
	return &recent[K, V]{size: size, newer: make(map[K]V), older: make(map[K]V)}
}

func (r *recent[K, V]) get(key K) (V, bool) {
	if v, ok := r.newer[key]; ok {
		return v, true
	}
	v, ok := r.older[key]
	if ok {
		r.add(key, v)
	}
	return v, ok
}

func (r *recent[K, V]) add(key K, v V) {
	if len(r.newer) >= r.size {
		r.newer, r.older = r.older, r.newer
		clear(r.newer)
	}
	r.newer[key] = v
}

func (r *recent[K, V]) clear() {
	clear(r.newer)
	clear(r.older)
}
