package pgstore

// recentStreams remembers the streams that were written or looked up last: at
// least half of size, at most size. It has two maps: when the newer one is full
// it becomes the older one, and what that one held is forgotten. Keeping a list
// in the order of use took a tenth of the time of appends, and as much of the
// garbage collector's.
type recentStreams struct {
	half         int
	newer, older map[string]stream
}

func newRecentStreams(size int) *recentStreams {
	return &recentStreams{half: max(size/2, 1), newer: make(map[string]stream), older: make(map[string]stream)}
}

func (c *recentStreams) get(name string) (stream, bool) {
	if st, ok := c.newer[name]; ok {
		return st, true
	}
	st, ok := c.older[name]
	if ok {
		c.add(name, st)
	}
	return st, ok
}

func (c *recentStreams) add(name string, st stream) {
	if len(c.newer) >= c.half {
		c.newer, c.older = c.older, c.newer
		clear(c.newer)
	}
	c.newer[name] = st
}

func (c *recentStreams) clear() {
	clear(c.newer)
	clear(c.older)
}
