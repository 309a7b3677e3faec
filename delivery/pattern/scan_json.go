package pattern

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

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
