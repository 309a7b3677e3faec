package pattern

import (
	"time"
	"unicode/utf8"
	"unsafe"
)

// maxEventDepth is how many objects and arrays may be inside one another in data or metadata.
const maxEventDepth = 128

// scratch is what matching one event takes. It is used again for the next one.
type scratch struct {
	// turn counts the events, so that what is left of an earlier one is known.
	turn uint32
	// leaves are the values of the event at wanted paths, in its order.
	leaves []leaf
	// elements are those of arrays on the way to them, in order; the first stands for the event.
	elements []element
	arrays   int32
	// places are by the id of a node.
	places []place
	// objects counts the objects of all events.
	objects uint64
	// unreadable has bits for metadata and data that are no JSON.
	unreadable uint8

	text    []byte   // what is scanned
	decoded []byte   // strings that are not in the event as they are
	cursors []cursor // of joint
	// tried and found are by the number of a way to match, and of a pattern: the turn in which.
	tried, found []uint32
	matched      []int32 // numbers of patterns
}

// leaf is a value that is no object and no array.
type leaf struct {
	node    int32 // -1: it does not count
	element int32 // the innermost one that it is in
	next    int32 // the next leaf of the node, -1: none
	kind    byte  // one of "0tfn
	text    string
	folded  string // if hasFold
	hasFold bool
	number  float64
}

// element is an element of an array that is on the way to a wanted path.
type element struct {
	parent int32 // the element that the array is in
	array  int32 // a number that each array has of its own
	depth  int32 // 0 for the event
	end    int32 // the first leaf behind it
}

// place is what there is of a node in an event.
type place struct {
	turn        uint32
	first, last int32 // leaves
	// The last object that has had the key, and the leaves that were in it.
	object   uint64
	from, to int32
}

const (
	metadataBit = 1 << iota
	dataBit
)

// rootBit returns the bit of scratch.unreadable for a path.
func rootBit(path []string) uint8 {
	switch path[0] {
	case envelope[fieldMetadata]:
		return metadataBit
	case envelope[fieldData]:
		return dataBit
	}
	return 0
}

// scan collects the leaves of an event.
func (s *scratch) scan(e *Event, t *trie, members *[fields]*node) {
	if s.turn++; s.turn == 0 {
		clear(s.places)
		clear(s.tried)
		clear(s.found)
		s.turn = 1
	}
	s.leaves, s.elements, s.decoded = s.leaves[:0], append(s.elements[:0], element{}), s.decoded[:0]
	s.arrays, s.unreadable = 0, 0
	s.places = grown(s.places, int(t.size))
	s.number(members[fieldPosition], e.Position)
	s.string(members[fieldStream], e.Stream)
	s.string(members[fieldCategory], e.Category)
	s.number(members[fieldVersion], e.Version)
	if n := members[fieldID]; n != nil {
		from := len(s.decoded)
		s.decoded = appendUUID(s.decoded, e.ID)
		s.string(n, view(s.decoded[from:]))
	}
	s.string(members[fieldType], e.Type)
	s.number(members[fieldSchemaVersion], int64(e.SchemaVersion))
	if n := members[fieldRecordedAt]; n != nil {
		from := len(s.decoded)
		s.decoded = e.RecordedAt.UTC().AppendFormat(s.decoded, time.RFC3339Nano)
		s.string(n, view(s.decoded[from:]))
	}
	s.json(members[fieldMetadata], e.Metadata, metadataBit)
	s.json(members[fieldData], e.Data, dataBit)
	s.elements[0].end = int32(len(s.leaves))
	for i := range s.leaves {
		l := &s.leaves[i]
		if l.node < 0 {
			continue
		}
		p := &s.places[l.node]
		if p.turn != s.turn {
			p.turn, p.first = s.turn, int32(i)
		} else {
			s.leaves[p.last].next = int32(i)
		}
		p.last = int32(i)
	}
}

// grown returns a slice of at least size elements.
func grown[T any](all []T, size int) []T {
	if len(all) >= size {
		return all
	}
	return append(all, make([]T, size-len(all))...)
}

// first returns the first leaf of a node, -1: it has none.
func (s *scratch) first(node int32) int32 {
	if p := &s.places[node]; p.turn == s.turn {
		return p.first
	}
	return -1
}

// add returns a new leaf, of which kind and value are to be set.
func (s *scratch) add(n *node, in int32, kind byte) *leaf {
	s.leaves = append(s.leaves, leaf{node: n.id, element: in, next: -1, kind: kind})
	return &s.leaves[len(s.leaves)-1]
}

func (s *scratch) string(n *node, text string) {
	if n != nil {
		s.add(n, 0, '"').text = text
	}
}

func (s *scratch) number(n *node, number int64) {
	if n != nil {
		s.add(n, 0, '0').number = float64(number)
	}
}

// json scans metadata or data, all of them, even if nothing more is wanted: whether they are JSON
// must not depend on what other patterns want.
func (s *scratch) json(n *node, text []byte, bit uint8) {
	if n == nil || len(text) == 0 {
		return
	}
	from := len(s.leaves)
	s.text = text
	end := -1
	if utf8.Valid(text) {
		if end = s.value(0, n, 0, 0); end >= 0 {
			end = s.space(end)
		}
	}
	if end != len(text) {
		s.leaves = s.leaves[:from]
		s.unreadable |= bit
	}
	s.text = nil
}

// fold returns the text of a leaf as foldString makes it.
func (s *scratch) fold(l *leaf) string {
	if !l.hasFold {
		from := len(s.decoded)
		s.decoded = appendFolded(s.decoded, l.text)
		l.folded, l.hasFold = view(s.decoded[from:]), true
	}
	return l.folded
}

// view returns bytes as a string without a copy: they do not change while an event is matched.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
