package pattern

import (
	"sort"
	"strings"
)

// lookup is an index in use for an event.
type lookup struct {
	*index
	*scratch
	// firstWay and firstPattern are added to their numbers, to tell them from those of another index.
	firstWay, firstPattern int32
	// removed are the patterns that are no longer there.
	removed []bool
}

// find looks for the ways that the event may match, and appends the patterns of those that it does
// to matched.
func (t *lookup) find() {
	t.tryList(t.always, false)
	for i := 0; i < len(t.leaves); i++ {
		l := &t.leaves[i]
		if l.node < 0 || int(l.node) >= len(t.access) || t.access[l.node] == nil {
			continue
		}
		// A leaf in no array is the only one, so that a way has what it is filed under if the key says all
		// that is wanted.
		known := l.element == 0
		a := t.access[l.node]
		t.tryList(a.present, false)
		switch l.kind {
		case '"':
			if at, ok := a.strings[l.text]; ok {
				t.try(at, known)
			}
			if a.folded != nil {
				if at, ok := a.folded[t.fold(l)]; ok {
					t.try(at, known)
				}
			}
			a.prefixes.find(t, l.text)
			a.suffixes.find(t, l.text)
			if a.foldedPrefixes != nil || a.foldedSuffixes != nil {
				a.foldedPrefixes.find(t, t.fold(l))
				a.foldedSuffixes.find(t, t.fold(l))
			}
			if a.blocks != nil {
				t.findBlocks(a, l.text, known)
			}
		case '0':
			if at, ok := a.numbers[l.number]; ok {
				t.try(at, known)
			}
			t.findRanges(a.ranges, l.number, known)
		default:
			if at, ok := a.words[l.kind]; ok {
				t.try(at, known)
			}
		}
	}
}

// try looks at what is filed under a key: known says that this is there.
func (t *lookup) try(at filed, known bool) {
	if at >= 0 {
		t.tryWay(int32(at), known)
		return
	}
	t.tryList(t.lists[^at], known)
}

func (t *lookup) tryList(ways []int32, known bool) {
	for _, i := range ways {
		t.tryWay(i, known)
	}
}

func (t *lookup) tryWay(i int32, known bool) {
	tried := &t.tried[t.firstWay+i]
	if *tried == t.turn {
		return
	}
	*tried = t.turn
	w := &t.ways[i]
	found := &t.found[t.firstPattern+w.pattern]
	if w.several && *found == t.turn || t.removed != nil && t.removed[w.pattern] {
		return
	}
	unknown := len(w.wants)
	if known {
		unknown--
	}
	if t.holds(w, unknown) {
		if w.several {
			*found = t.turn
		}
		t.matched = append(t.matched, w.pattern)
	}
}

func (p *prefixes) find(t *lookup, text string) {
	if p == nil {
		return
	}
	if p.reversed {
		from := len(t.decoded)
		t.decoded = appendReversed(t.decoded, text)
		text = view(t.decoded[from:])
	}
	// All that is between a prefix of the text and the text begins with that prefix.
	i := int32(sort.Search(len(p.texts), func(i int) bool { return p.texts[i] > text })) - 1
	for ; i >= 0; i = p.parents[i] {
		if strings.HasPrefix(text, p.texts[i]) {
			t.try(p.ways[i], false) // as a wildcard wants more than its beginning
		}
	}
}

func appendReversed(to []byte, text string) []byte {
	for i := len(text) - 1; i >= 0; i-- {
		to = append(to, text[i])
	}
	return to
}

// findRanges finds the intervals that a number is in.
func (t *lookup) findRanges(part []interval, number float64, known bool) {
	for len(part) > 0 {
		middle := len(part) / 2
		root := &part[middle]
		if root.most < number {
			return
		}
		t.findRanges(part[:middle], number, known)
		if root.low > number {
			return
		}
		if number <= root.high {
			t.try(root.ways, known)
		}
		part = part[middle+1:]
	}
}

// findBlocks finds the blocks that an address is in.
func (t *lookup) findBlocks(a *access, text string, known bool) {
	addr, ok := parseAddr(text)
	if !ok {
		return
	}
	for _, length := range a.blockLengths {
		if block, err := addr.Prefix(length); err == nil {
			if at, ok := a.blocks[block]; ok {
				t.try(at, known)
			}
		}
	}
}
