package pattern

// way is a way for a pattern to match.
type way struct {
	pattern int32
	// roots are the bits of metadata and data, if it has clauses about them.
	roots uint8
	// several says that the pattern has other ways.
	several bool
	// wants has at the end the one that the way is filed under.
	wants []want
}

// want is a clause of it.
type want struct {
	node int32
	when *condition
}

// holds reports whether the event has all that is wanted, of which the first so many are not known
// to be there.
func (s *scratch) holds(w *way, unknown int) bool {
	if w.roots&s.unreadable != 0 {
		return false
	}
	arrays := false
	for i := range w.wants[:unknown] {
		c := &w.wants[i]
		first := s.first(c.node)
		switch {
		case first < 0:
			if !c.when.absent {
				return false
			}
		case s.leaves[first].element == 0: // then it is the only one
			if !c.when.matches(s, &s.leaves[first]) {
				return false
			}
		default:
			arrays = true
		}
	}
	if !arrays {
		return true
	}
	s.cursors = s.cursors[:0]
	for i := range w.wants {
		s.cursors = append(s.cursors, cursor{int32(i), s.first(w.wants[i].node)})
	}
	return s.joint(w, 0, 0)
}

// cursor is a want and the first leaf of it that is in question: -1 if there is none, done if the
// want is met.
type cursor struct{ want, leaf int32 }

const done = -2

// joint reports whether all wants of which there are cursors, from the given one on, are met within
// an element: each by a leaf that is in no array there, by the absence of any, or together with all
// others that lead through the same array in one element of it.
func (s *scratch) joint(w *way, from int, in int32) bool {
	to := len(s.cursors)
	for i := from; i < to; i++ {
		c := &s.cursors[i]
		want := &w.wants[c.want]
		switch {
		case c.leaf < 0:
			if !want.when.absent {
				return false
			}
		case s.leaves[c.leaf].element == in:
			if !want.when.matches(s, &s.leaves[c.leaf]) {
				return false
			}
			c.leaf = done
		}
	}
	depth := s.elements[in].depth + 1
	for i := from; i < to; i++ {
		if s.cursors[i].leaf < 0 {
			continue
		}
		array := s.elements[s.ancestor(s.cursors[i].leaf, depth)].array
		for j := i; j < to; j++ {
			c := s.cursors[j]
			if c.leaf >= 0 && s.elements[s.ancestor(c.leaf, depth)].array == array {
				s.cursors = append(s.cursors, c)
				s.cursors[j].leaf = done
			}
		}
		met := s.inOneElement(w, to, s.elements[in].end, depth)
		s.cursors = s.cursors[:to]
		if !met {
			return false
		}
	}
	return true
}

// inOneElement reports whether an element of an array meets all wants of which there are cursors,
// from the given one on: their leaves before end are in that array, whose elements have the depth.
// Each leaf is looked at once.
func (s *scratch) inOneElement(w *way, from int, end, depth int32) bool {
	to := len(s.cursors)
	for {
		first := int32(-1) // the next element that has any of the leaves
		for _, c := range s.cursors[from:to] {
			if c.leaf < 0 || c.leaf >= end {
				continue
			}
			if e := s.ancestor(c.leaf, depth); first < 0 || e < first {
				first = e
			}
		}
		if first < 0 {
			return false
		}
		behind := s.elements[first].end
		for i := from; i < to; i++ {
			c := s.cursors[i]
			if c.leaf >= behind {
				c.leaf = -1
			}
			s.cursors = append(s.cursors, c)
			for l := &s.cursors[i].leaf; *l >= 0 && *l < behind; {
				*l = s.leaves[*l].next
			}
		}
		met := s.joint(w, to, first)
		s.cursors = s.cursors[:to]
		if met {
			return true
		}
	}
}

// ancestor returns the element of a depth that a leaf is in.
func (s *scratch) ancestor(leaf, depth int32) int32 {
	e := s.leaves[leaf].element
	for s.elements[e].depth > depth {
		e = s.elements[e].parent
	}
	return e
}
