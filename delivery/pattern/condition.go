package pattern

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// condition is what a pattern wants of a value: one of its alternatives.
type condition struct {
	// absent says that no value will do, present that any does.
	absent, present bool
	strings         []string
	folded          []string // as foldString makes them
	numbers         []float64
	words           []byte // first letters of true, false and null
	ops             []op
	cost            int

	// Of many literals there are maps.
	stringSet map[string]struct{}
	foldedSet map[string]struct{}
	numberSet map[float64]struct{}
}

// opKind says what an op compares with.
type opKind uint8

const (
	opPrefix opKind = iota
	opSuffix
	opFoldedPrefix
	opFoldedSuffix
	opWildcard
	opRange
	opBlock
	opNot
)

// op is an alternative that is no literal.
type op struct {
	kind      opKind
	text      string
	parts     []string // what is between the stars: one more than there are stars
	low, high float64  // inclusive
	block     netip.Prefix
	not       *condition
}

// manyLiterals is from how many on a map is faster than to compare with each.
const manyLiterals = 8

// prepare is called when all alternatives are there.
func (c *condition) prepare() {
	c.stringSet, c.foldedSet, c.numberSet = setOf(c.strings), setOf(c.folded), setOf(c.numbers)
}

func setOf[T comparable](all []T) map[T]struct{} {
	if len(all) < manyLiterals {
		return nil
	}
	set := make(map[T]struct{}, len(all))
	for _, v := range all {
		set[v] = struct{}{}
	}
	return set
}

func has[T comparable](all []T, set map[T]struct{}, v T) bool {
	if set != nil {
		_, ok := set[v]
		return ok
	}
	for _, one := range all {
		if one == v {
			return true
		}
	}
	return false
}

// onlyLiterals reports whether the values that will do can be listed, without regard to case.
func (c *condition) onlyLiterals() bool {
	return !c.absent && !c.present && len(c.folded) == 0 && len(c.ops) == 0
}

// matches reports whether a value will do.
func (c *condition) matches(s *scratch, l *leaf) bool {
	if c.present {
		return true
	}
	switch l.kind {
	case '"':
		if has(c.strings, c.stringSet, l.text) || len(c.folded) > 0 && has(c.folded, c.foldedSet, s.fold(l)) {
			return true
		}
	case '0':
		if has(c.numbers, c.numberSet, l.number) {
			return true
		}
	default:
		if bytes.IndexByte(c.words, l.kind) >= 0 {
			return true
		}
	}
	for i := range c.ops {
		if c.ops[i].matches(s, l) {
			return true
		}
	}
	return false
}

func (o *op) matches(s *scratch, l *leaf) bool {
	switch {
	case o.kind == opNot:
		return !o.not.matches(s, l)
	case o.kind == opRange:
		return l.kind == '0' && o.low <= l.number && l.number <= o.high
	case l.kind != '"':
		return false
	}
	switch o.kind {
	case opPrefix:
		return strings.HasPrefix(l.text, o.text)
	case opSuffix:
		return strings.HasSuffix(l.text, o.text)
	case opFoldedPrefix:
		return strings.HasPrefix(s.fold(l), o.text)
	case opFoldedSuffix:
		return strings.HasSuffix(s.fold(l), o.text)
	case opWildcard:
		return matchesParts(l.text, o.parts)
	}
	addr, ok := parseAddr(l.text)
	return ok && o.block.Contains(addr)
}

// matchesParts looks for each part where it comes first, so that it never has to go back.
func matchesParts(text string, parts []string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

// parseAddr returns the address that a text is. An IPv4 address may be written as IPv6.
func parseAddr(text string) (netip.Addr, bool) {
	// The error for most texts that are none would be an allocation.
	if len(text) < 2 || len(text) > len("0000:0000:0000:0000:0000:ffff:255.255.255.255") {
		return netip.Addr{}, false
	}
	points := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.' || c == ':':
			points++
		case '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f':
		default:
			return netip.Addr{}, false
		}
	}
	if points < 2 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	return addr.Unmap(), err == nil
}

// foldString makes texts equal that differ in case only.
func foldString(text string) string { return string(appendFolded(nil, text)) }

// appendFolded puts the first of those characters that differ in case only in place of each: of the
// letters of ASCII that is the capital one.
func appendFolded(to []byte, text string) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			to = append(to, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		to = utf8.AppendRune(to, least)
		i += size
	}
	return to
}
