package pattern

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf16"
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

// space returns where the next byte is that is no white space.
func (s *scratch) space(i int) int {
	for i < len(s.text) {
		if c := s.text[i]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			break
		}
		i++
	}
	return i
}

// value scans the value that begins at i or behind white space there, and returns where it ends, -1
// if it is none. With no node nothing is kept of it.
func (s *scratch) value(i int, n *node, in int32, depth int) int {
	if i = s.space(i); i == len(s.text) {
		return -1
	}
	wanted := n != nil && n.wanted
	switch c := s.text[i]; c {
	case '{':
		return s.object(i+1, n, in, depth+1)
	case '[':
		return s.array(i+1, n, in, depth+1)
	case '"':
		end, escaped := s.quoted(i + 1)
		if end >= 0 && wanted {
			s.add(n, in, c).text = s.unquote(i+1, end-1, escaped)
		}
		return end
	case 't', 'f', 'n':
		word := "true"
		switch c {
		case 'f':
			word = "false"
		case 'n':
			word = "null"
		}
		end := i + len(word)
		if end > len(s.text) || string(s.text[i:end]) != word {
			return -1
		}
		if wanted {
			s.add(n, in, c).text = word
		}
		return end
	}
	end := s.digits(i)
	if end >= 0 && wanted {
		text := view(s.text[i:end])
		l := s.add(n, in, '0')
		l.text, l.number = text, parseFloat(text)
	}
	return end
}

// object scans the members behind a brace.
func (s *scratch) object(i int, n *node, in int32, depth int) int {
	if depth > maxEventDepth {
		return -1
	}
	s.objects++
	object := s.objects
	if i = s.space(i); i < len(s.text) && s.text[i] == '}' {
		return i + 1
	}
	for {
		if i = s.space(i); i == len(s.text) || s.text[i] != '"' {
			return -1
		}
		end, escaped := s.quoted(i + 1)
		if end < 0 {
			return -1
		}
		var next *node
		if n != nil {
			next = n.child(s.unquote(i+1, end-1, escaped))
		}
		if i = s.space(end); i == len(s.text) || s.text[i] != ':' {
			return -1
		}
		from := int32(len(s.leaves))
		if i = s.value(i+1, next, in, depth); i < 0 {
			return -1
		}
		if next != nil {
			p := &s.places[next.id]
			if p.object == object { // the key was there before
				for l := p.from; l < p.to; l++ {
					s.leaves[l].node = -1
				}
			}
			p.object, p.from, p.to = object, from, int32(len(s.leaves))
		}
		if i = s.space(i); i == len(s.text) {
			return -1
		}
		switch s.text[i] {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// array scans the elements behind a bracket. Those that are on the way to nothing that is there are
// not kept.
func (s *scratch) array(i int, n *node, in int32, depth int) int {
	if depth > maxEventDepth {
		return -1
	}
	if i = s.space(i); i < len(s.text) && s.text[i] == ']' {
		return i + 1
	}
	s.arrays++
	array := s.arrays
	for {
		own, from := int32(len(s.elements)), len(s.leaves)
		if n != nil {
			s.elements = append(s.elements, element{parent: in, array: array, depth: s.elements[in].depth + 1})
		}
		if i = s.value(i, n, own, depth); i < 0 {
			return -1
		}
		switch {
		case n == nil:
		case len(s.leaves) == from:
			s.elements = s.elements[:own]
		default:
			s.elements[own].end = int32(len(s.leaves))
		}
		if i = s.space(i); i == len(s.text) {
			return -1
		}
		switch s.text[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// quoted returns where a string ends that began before i, behind its quote, and whether it has a
// backslash.
func (s *scratch) quoted(i int) (end int, escaped bool) {
	text := s.text
	for i < len(text) {
		// Eight bytes at a time, up to one that means something: a quote, a backslash or a control character.
		// What borrows and carries may show in bytes behind it is not looked at.
		if i+8 <= len(text) {
			const ones, highs = 0x0101010101010101, 0x8080808080808080
			word := binary.LittleEndian.Uint64(text[i:])
			quotes, backslashes := word^'"'*ones, word^'\\'*ones
			found := ((quotes-ones)&^quotes | (backslashes-ones)&^backslashes | (word-' '*ones)&^word) & highs
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) / 8
		}
		switch c := text[i]; {
		case c == '"':
			return i + 1, escaped
		case c < ' ':
			return -1, false
		case c != '\\':
			i++
			continue
		}
		escaped = true
		if i+1 == len(text) {
			return -1, false
		}
		switch text[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if _, ok := hex4(text, i+2); !ok {
				return -1, false
			}
			i += 6
		default:
			return -1, false
		}
	}
	return -1, false
}

func hex4(text []byte, i int) (r rune, ok bool) {
	if i+4 > len(text) {
		return 0, false
	}
	for _, c := range text[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote returns the string between two quotes.
func (s *scratch) unquote(from, to int, escaped bool) string {
	text := s.text[from:to]
	if !escaped {
		return view(text)
	}
	begin := len(s.decoded)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			i++
			switch c = text[i]; c {
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'u':
				r, _ := hex4(text, i+1)
				i += 4
				if utf16.IsSurrogate(r) {
					// Half a pair is the replacement character, as in encoding/json.
					pair := rune(utf8.RuneError)
					if i+2 < len(text) && text[i+1] == '\\' && text[i+2] == 'u' {
						if low, ok := hex4(text, i+3); ok {
							pair = utf16.DecodeRune(r, low)
						}
					}
					if r = pair; r != utf8.RuneError {
						i += 6
					}
				}
				s.decoded = utf8.AppendRune(s.decoded, r)
				continue
			}
		}
		s.decoded = append(s.decoded, c)
	}
	return view(s.decoded[begin:])
}

// digits returns where the number ends that begins at i, -1 if it is none.
func (s *scratch) digits(i int) int {
	text := s.text
	run := func() bool {
		from := i
		for i < len(text) && '0' <= text[i] && text[i] <= '9' {
			i++
		}
		return i > from
	}
	if text[i] == '-' {
		i++
	}
	if i < len(text) && text[i] == '0' {
		i++
	} else if !run() {
		return -1
	}
	if i < len(text) && text[i] == '.' {
		i++
		if !run() {
			return -1
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if !run() {
			return -1
		}
	}
	return i
}

var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseFloat returns the double that is next to a number in JSON, infinity if there is none.
func parseFloat(text string) float64 {
	// Up to 15 digits are exact in a double, and so is the power that they are divided by: so the quotient
	// is rounded once.
	if len(text) <= 16 {
		var digits int64
		point := -1
		for i := range len(text) {
			switch c := text[i]; {
			case '0' <= c && c <= '9':
				digits = digits*10 + int64(c-'0')
			case c == '.':
				point = i
			case c == '-' && i == 0:
			default:
				return parseSlowly(text)
			}
		}
		if digits < 1e15 {
			number := float64(digits)
			if point >= 0 {
				number /= powers[len(text)-1-point]
			}
			if text[0] == '-' {
				number = -number
			}
			return number
		}
	}
	return parseSlowly(text)
}

func parseSlowly(text string) float64 {
	number, _ := strconv.ParseFloat(text, 64) // out of range: infinite, as said
	return number
}
