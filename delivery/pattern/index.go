package pattern

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// index finds the ways of patterns that an event may match.
type index struct {
	ways []way
	// access is by the id of a node; nil: nothing is filed there.
	access []*access
	// always are the ways that are looked at whatever there is.
	always []int32
}

// access files ways under what they want at one node. The numbers are those of ways.
type access struct {
	strings, folded                map[string][]int32
	numbers                        map[float64][]int32
	words                          map[byte][]int32
	prefixes, suffixes             *prefixes // those of suffixes are read from behind
	foldedPrefixes, foldedSuffixes *prefixes
	ranges                         *ranges
	blocks                         *blocks
	present                        []int32 // for any value
}

// key is an alternative to file a way under.
type key struct {
	kind      keyKind
	text      string
	low, high float64
	block     netip.Prefix
}

type keyKind uint8

const (
	keyString keyKind = iota
	keyFolded
	keyNumber
	keyWord
	keyPrefix
	keySuffix
	keyFoldedPrefix
	keyFoldedSuffix
	keyRange
	keyBlock
	keyPresent
)

// keyCosts say how much more is found with a key of each kind than with a string of its own.
var keyCosts = [...]int{keyString: 1, keyFolded: 1, keyNumber: 1, keyWord: 64, keyPrefix: 4, keySuffix: 4,
	keyFoldedPrefix: 4, keyFoldedSuffix: 4, keyRange: 64, keyBlock: 16, keyPresent: 256}

// keys returns what to file a way under, so that all values that will do lead to it; none: the
// absence of values will do.
func (c *condition) keys() (all []key) {
	if c.absent {
		return nil
	}
	present := []key{{kind: keyPresent}}
	if c.present {
		return present
	}
	for _, text := range c.strings {
		all = append(all, key{kind: keyString, text: text})
	}
	for _, text := range c.folded {
		all = append(all, key{kind: keyFolded, text: text})
	}
	for _, n := range c.numbers {
		all = append(all, key{kind: keyNumber, low: n})
	}
	for _, letter := range c.words {
		all = append(all, key{kind: keyWord, text: string(rune(letter))})
	}
	for _, o := range c.ops {
		k := key{text: o.text, low: o.low, high: o.high, block: o.block}
		switch o.kind {
		case opPrefix:
			k.kind = keyPrefix
		case opSuffix:
			k.kind = keySuffix
		case opFoldedPrefix:
			k.kind = keyFoldedPrefix
		case opFoldedSuffix:
			k.kind = keyFoldedSuffix
		case opWildcard:
			if k.kind, k.text = keyPrefix, o.parts[0]; k.text == "" {
				k.kind, k.text = keySuffix, o.parts[len(o.parts)-1]
			}
		case opRange:
			k.kind = keyRange
		case opBlock:
			k.kind = keyBlock
		}
		if o.kind == opNot || k.text == "" && o.kind <= opWildcard {
			return present
		}
		all = append(all, k)
	}
	return all
}

// newIndex files the patterns, by their place in the slice, and adds their paths to a trie.
func newIndex(patterns []*Pattern, g *growth) *index {
	x := &index{}
	for number, p := range patterns {
		for _, clauses := range p.ways {
			x.ways = append(x.ways, newWay(int32(number), clauses, g))
		}
	}
	type place struct {
		node int32
		key
	}
	shared := make(map[place]int)
	for i := range x.ways {
		for _, c := range x.ways[i].wants {
			for _, k := range c.when.keys() {
				shared[place{c.node, k}]++
			}
		}
	}
	x.access = make([]*access, g.size)
	files := make([]map[key][]int32, g.size)
	for i := range x.ways {
		w := &x.ways[i]
		var best []key
		node, least := int32(-1), 0
		for _, c := range w.wants {
			keys, cost := c.when.keys(), 0
			for _, k := range keys {
				cost += keyCosts[k.kind] * shared[place{c.node, k}]
			}
			if keys != nil && (node < 0 || cost < least) {
				best, node, least = keys, c.node, cost
			}
		}
		if node < 0 {
			x.always = append(x.always, int32(i))
			continue
		}
		if files[node] == nil {
			files[node] = make(map[key][]int32)
		}
		for _, k := range best {
			files[node][k] = append(files[node][k], int32(i))
		}
		// What is cheap to look at comes first.
		slices.SortStableFunc(w.wants, func(a, b want) int { return cmp.Compare(a.when.cost, b.when.cost) })
	}
	for node, filed := range files {
		if filed != nil {
			x.access[node] = newAccess(filed)
		}
	}
	return x
}

func newWay(pattern int32, clauses []*clause, g *growth) way {
	w := way{pattern: pattern, wants: make([]want, len(clauses))}
	for i, c := range clauses {
		w.wants[i] = want{g.add(c.path), c.when}
		w.roots |= rootBit(c.path)
	}
	return w
}

func newAccess(filed map[key][]int32) *access {
	a := &access{}
	texts := make(map[keyKind]map[string][]int32)
	for k, ways := range filed {
		switch k.kind {
		case keyNumber:
			put(&a.numbers, k.low, ways)
		case keyWord:
			put(&a.words, k.text[0], ways)
		case keyRange:
			if a.ranges == nil {
				a.ranges = &ranges{}
			}
			a.ranges.all = append(a.ranges.all, interval{low: k.low, high: k.high, ways: ways})
		case keyBlock:
			if a.blocks == nil {
				a.blocks = &blocks{}
			}
			put(&a.blocks.ways, k.block, ways)
			if lengths := &a.blocks.lengths; !slices.Contains(*lengths, k.block.Bits()) {
				*lengths = append(*lengths, k.block.Bits())
			}
		case keyPresent:
			a.present = ways
		default:
			of := texts[k.kind]
			put(&of, k.text, ways)
			texts[k.kind] = of
		}
	}
	a.strings, a.folded = texts[keyString], texts[keyFolded]
	a.prefixes, a.suffixes = newPrefixes(texts[keyPrefix], false), newPrefixes(texts[keySuffix], true)
	a.foldedPrefixes, a.foldedSuffixes = newPrefixes(texts[keyFoldedPrefix], false), newPrefixes(texts[keyFoldedSuffix], true)
	if a.ranges != nil {
		a.ranges.prepare()
	}
	return a
}

func put[K comparable](to *map[K][]int32, k K, ways []int32) {
	if *to == nil {
		*to = make(map[K][]int32)
	}
	(*to)[k] = ways
}

// find looks for the ways that an event may match, and appends the patterns of those that it does to
// s.matched.
func (x *index) find(s *scratch, t *turn) {
	t.tryAll(s, x.always)
	for i := 0; i < len(s.leaves); i++ {
		l := &s.leaves[i]
		if l.node < 0 || int(l.node) >= len(x.access) || x.access[l.node] == nil {
			continue
		}
		a := x.access[l.node]
		t.tryAll(s, a.present)
		switch l.kind {
		case '"':
			if a.strings != nil {
				t.tryAll(s, a.strings[l.text])
			}
			if a.folded != nil {
				t.tryAll(s, a.folded[s.fold(l)])
			}
			a.prefixes.find(s, t, l.text)
			a.suffixes.find(s, t, l.text)
			if a.foldedPrefixes != nil || a.foldedSuffixes != nil {
				a.foldedPrefixes.find(s, t, s.fold(l))
				a.foldedSuffixes.find(s, t, s.fold(l))
			}
			a.blocks.find(s, t, l.text)
		case '0':
			if a.numbers != nil {
				t.tryAll(s, a.numbers[l.number])
			}
			a.ranges.find(s, t, l.number)
		default:
			t.tryAll(s, a.words[l.kind])
		}
	}
}

// turn is one index in use for one event.
type turn struct {
	ways []way
	// firstWay and firstPattern are added to their numbers.
	firstWay, firstPattern int32
	// removed are the patterns that are no longer there.
	removed []bool
}

func (t *turn) tryAll(s *scratch, ways []int32) {
	for _, i := range ways {
		w := &t.ways[i]
		tried, found := &s.tried[t.firstWay+i], &s.found[t.firstPattern+w.pattern]
		if *tried == s.turn || *found == s.turn {
			continue
		}
		*tried = s.turn
		if (t.removed == nil || !t.removed[w.pattern]) && s.holds(w) {
			*found = s.turn
			s.matched = append(s.matched, w.pattern)
		}
	}
}

// prefixes finds those of texts that another begins with, or ends with if they are reversed.
type prefixes struct {
	reversed bool
	// texts are sorted. Each has the number of the longest other one that it begins with, -1 if there is none.
	texts   []string
	parents []int32
	ways    [][]int32
}

func newPrefixes(filed map[string][]int32, reversed bool) *prefixes {
	if filed == nil {
		return nil
	}
	p := &prefixes{reversed: reversed}
	ways := make(map[string][]int32, len(filed))
	for text, of := range filed {
		if reversed {
			text = string(appendReversed(nil, text))
		}
		p.texts = append(p.texts, text)
		ways[text] = of
	}
	slices.Sort(p.texts)
	for i, text := range p.texts {
		parent := int32(i) - 1
		for parent >= 0 && !strings.HasPrefix(text, p.texts[parent]) {
			parent = p.parents[parent]
		}
		p.parents, p.ways = append(p.parents, parent), append(p.ways, ways[text])
	}
	return p
}

func (p *prefixes) find(s *scratch, t *turn, text string) {
	if p == nil {
		return
	}
	if p.reversed {
		from := len(s.decoded)
		s.decoded = appendReversed(s.decoded, text)
		text = view(s.decoded[from:])
	}
	// All that is between a prefix of the text and the text begins with that prefix.
	i := int32(sort.Search(len(p.texts), func(i int) bool { return p.texts[i] > text })) - 1
	for ; i >= 0; i = p.parents[i] {
		if strings.HasPrefix(text, p.texts[i]) {
			t.tryAll(s, p.ways[i])
		}
	}
}

func appendReversed(to []byte, text string) []byte {
	for i := len(text) - 1; i >= 0; i-- {
		to = append(to, text[i])
	}
	return to
}

// ranges finds the intervals that a number is in.
type ranges struct {
	all []interval // a balanced tree: of each part the middle is the root
}

type interval struct {
	low, high float64
	most      float64 // the highest end in the part of which this one is the root
	ways      []int32
}

func (r *ranges) prepare() {
	slices.SortFunc(r.all, func(a, b interval) int { return cmp.Compare(a.low, b.low) })
	prepareRanges(r.all)
}

func prepareRanges(part []interval) float64 {
	if len(part) == 0 {
		return math.Inf(-1)
	}
	middle := len(part) / 2
	root := &part[middle]
	root.most = max(root.high, prepareRanges(part[:middle]), prepareRanges(part[middle+1:]))
	return root.most
}

func (r *ranges) find(s *scratch, t *turn, number float64) {
	if r != nil {
		findRanges(r.all, s, t, number)
	}
}

func findRanges(part []interval, s *scratch, t *turn, number float64) {
	for len(part) > 0 {
		middle := len(part) / 2
		root := &part[middle]
		if root.most < number {
			return
		}
		findRanges(part[:middle], s, t, number)
		if root.low > number {
			return
		}
		if number <= root.high {
			t.tryAll(s, root.ways)
		}
		part = part[middle+1:]
	}
}

// blocks finds the blocks that an address is in.
type blocks struct {
	lengths []int
	ways    map[netip.Prefix][]int32
}

func (b *blocks) find(s *scratch, t *turn, text string) {
	if b == nil {
		return
	}
	addr, ok := parseAddr(text)
	if !ok {
		return
	}
	for _, length := range b.lengths {
		if block, err := addr.Prefix(length); err == nil {
			t.tryAll(s, b.ways[block])
		}
	}
}
