package logcheck

import (
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// DeliveryOptions say what readers were to be given.
type DeliveryOptions struct {
	// Filters are those of the readers that have one, by name.
	Filters map[string]eventstore.Filter
	// From is where every reader begins. Default: 1.
	From int64
	// Head, if set, is the position that every reader must have reached.
	Head int64
}

// Deliveries checks what readers of the log were given: in order, each event
// once in a session, nothing left out, appends whole, and that each session began
// where a batch of an earlier one ended.
//
// A session that is resumed is given again what was not checkpointed; that is no
// violation, as long as it begins at a place that the reader could have kept.
func Deliveries(h *History, l *Log, o DeliveryOptions) []Violation {
	c := deliveries{
		l: l, readers: make(map[string]*reader), options: o,
		ordered: findings{rule: RuleOrdered}, unique: findings{rule: RuleUnique}, complete: findings{rule: RuleComplete},
		content: findings{rule: RuleContent}, atomic: findings{rule: RuleAtomic}, resumable: findings{rule: RuleResumable},
	}
	for i := range h.Batches {
		c.batch(&h.Batches[i])
	}
	for name, r := range c.readers {
		if r.next <= o.Head {
			c.complete.add("%s came as far as position %d, the log ends at %d", name, r.next-1, o.Head)
		}
	}
	var all []Violation
	for _, f := range []findings{c.ordered, c.unique, c.complete, c.content, c.atomic, c.resumable} {
		all = append(all, f.list()...)
	}
	return all
}

type deliveries struct {
	l       *Log
	readers map[string]*reader
	options DeliveryOptions

	ordered, unique, complete, content, atomic, resumable findings
}

// reader is how far a reader has come.
type reader struct {
	session int
	next    int64  // where the session goes on
	given   []Span // in the session
	reached map[int64]bool
}

// has reports whether a position was given in the session.
func (r *reader) has(position int64) bool {
	return slices.ContainsFunc(r.given, func(s Span) bool { return s.First <= position && position <= s.Last })
}

// last returns the last position given in the session.
func (r *reader) last() int64 {
	if len(r.given) == 0 {
		return 0
	}
	return r.given[len(r.given)-1].Last
}

func (c *deliveries) batch(b *Batch) {
	r := c.readers[b.Reader]
	if r == nil {
		r = &reader{reached: map[int64]bool{max(c.options.From, 1): true}}
		for _, life := range c.l.Restores {
			r.reached[life.LastCommon+1] = true // where a reader that is told goes on
		}
		c.readers[b.Reader] = r
	}
	switch {
	case b.Session != r.session:
		if !r.reached[b.From] {
			c.resumable.add("session %d of %s began at position %d, where no batch had ended", b.Session, b.Reader, b.From)
		}
		r.session, r.given = b.Session, nil
	case b.From != r.next:
		c.resumable.add("a batch of %s begins at position %d, the one before ended at %d", b.Reader, b.From, r.next-1)
	}
	r.next = b.Next
	r.reached[b.Next] = true
	c.order(r, b)
	if c.l.lost(b.Incarnation, b.Next-1) {
		return // the log that it came from is gone
	}
	c.compare(b)
	if place, ok := c.l.at(b.Next - 1); ok {
		if e := &c.l.events[place]; e.appendEnd != e.position {
			c.atomic.add("a batch of %s ends at %s, its append at %d", b.Reader, c.l.event(e), e.appendEnd)
		}
	}
}

// order checks the positions of a batch by themselves.
func (c *deliveries) order(r *reader, b *Batch) {
	for _, s := range b.Positions {
		last := r.last()
		switch {
		case s.First <= last && r.has(s.First):
			c.unique.add("%s was given position %d twice in session %d", b.Reader, s.First, b.Session)
		case s.First <= last || s.Last < s.First:
			c.ordered.add("%s was given position %d behind %d in session %d", b.Reader, s.First, last, b.Session)
		}
		if n := len(r.given); n > 0 && last+1 == s.First {
			r.given[n-1].Last = s.Last
		} else {
			r.given = append(r.given, s)
		}
	}
	if last := r.last(); last >= b.Next {
		c.ordered.add("%s was given position %d in a batch that says to go on at %d", b.Reader, last, b.Next)
	}
}

// compare checks a batch against the part of the log that it says it is.
func (c *deliveries) compare(b *Batch) {
	filter := c.options.Filters[b.Reader]
	want := Batch{}
	place, _ := c.l.at(b.From)
	for ; place < len(c.l.events) && c.l.events[place].position < b.Next; place++ {
		e := &c.l.events[place]
		if filter.Match(c.l.types[e.kind], c.l.streams[e.stream].name) {
			want.add(e.position, e.id)
		}
	}
	if b.Next-1 > c.l.Head() {
		c.complete.add("%s was given a batch up to position %d, the log ends at %d", b.Reader, b.Next-1, c.l.Head())
		return
	}
	if position, missing, differs := firstDifference(want.Positions, b.Positions); differs && missing {
		c.complete.add("%s was not given position %d in its batch from %d to %d", b.Reader, position, b.From, b.Next-1)
	} else if differs {
		c.complete.add("%s was given position %d, which is not for it, in its batch from %d to %d", b.Reader, position, b.From, b.Next-1)
	} else if b.Chain != want.Chain {
		c.content.add("%s was given other events than the log has from position %d to %d", b.Reader, b.From, b.Next-1)
	}
}

// firstDifference returns the first position that only one of two lists has, and
// whether it is missing in the second.
func firstDifference(want, got []Span) (position int64, missing, differs bool) {
	for i := 0; i < len(want) || i < len(got); i++ {
		switch {
		case i >= len(got):
			return want[i].First, true, true
		case i >= len(want):
			return got[i].First, false, true
		case want[i].First != got[i].First:
			return min(want[i].First, got[i].First), want[i].First < got[i].First, true
		case want[i].Last != got[i].Last:
			return min(want[i].Last, got[i].Last) + 1, want[i].Last > got[i].Last, true
		}
	}
	return 0, false, false
}
