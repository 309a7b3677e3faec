package pattern

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// index finds the ways of patterns that an event may match.
type index struct {
	ways []way
	// access is by the id of a node; nil: nothing is filed there.
	access []*access
	// always are the ways that are looked at whatever there is.
	always []int32
	// lists are those of filed.
	lists [][]int32
}

// filed is the number of a way; negative: the complement of that of a list of them. To look up the
// only way of most keys no list has to be fetched from memory.
type filed int32

// access files ways under what they want at one node.
type access struct {
	strings, folded                map[string]filed
	numbers                        map[float64]filed
	words                          map[byte]filed
	prefixes, suffixes             *prefixes // those of suffixes are read from behind
	foldedPrefixes, foldedSuffixes *prefixes
	ranges                         []interval
	blocks                         map[netip.Prefix]filed
	blockLengths                   []int
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
	// Patterns share what is the same in them, so that it is at hand when many are looked at.
	equal := make(map[string]*condition)
	for number, p := range patterns {
		for _, clauses := range p.ways {
			w := newWay(int32(number), clauses, g, equal)
			w.several = len(p.ways) > 1
			x.ways = append(x.ways, w)
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
	found := make([]map[key][]int32, g.size) // the ways, by node and key
	for i := range x.ways {
		w := &x.ways[i]
		var best []key
		under, least := -1, 0
		for j, c := range w.wants {
			keys, cost := c.when.keys(), 0
			for _, k := range keys {
				cost += keyCosts[k.kind] * shared[place{c.node, k}]
			}
			if keys != nil && (under < 0 || cost < least) {
				best, under, least = keys, j, cost
			}
		}
		if under < 0 {
			x.always = append(x.always, int32(i))
			continue
		}
		c := w.wants[under]
		// What is cheap to look at comes first.
		w.wants = slices.Delete(w.wants, under, under+1)
		slices.SortStableFunc(w.wants, func(a, b want) int { return cmp.Compare(a.when.cost, b.when.cost) })
		w.wants = append(w.wants, c)
		if found[c.node] == nil {
			found[c.node] = make(map[key][]int32)
		}
		for _, k := range best {
			found[c.node][k] = append(found[c.node][k], int32(i))
		}
	}
	x.access = make([]*access, g.size)
	for node, ways := range found {
		if ways != nil {
			x.access[node] = x.newAccess(ways)
		}
	}
	return x
}

// newWay returns a way, whose conditions are those in equal if they are the same.
func newWay(pattern int32, clauses []*clause, g *growth, equal map[string]*condition) way {
	w := way{pattern: pattern, wants: make([]want, len(clauses))}
	for i, c := range clauses {
		when, ok := equal[c.wanted]
		if !ok {
			when = c.when
			if equal != nil {
				equal[c.wanted] = when
			}
		}
		w.wants[i] = want{g.add(c.path), when}
		w.roots |= rootBit(c.path)
	}
	return w
}

func (x *index) newAccess(found map[key][]int32) *access {
	a := &access{}
	texts := make(map[keyKind]map[string]filed)
	for k, ways := range found {
		if k.kind == keyPresent {
			a.present = ways
			continue
		}
		at := filed(ways[0])
		if len(ways) > 1 {
			at = ^filed(len(x.lists))
			x.lists = append(x.lists, ways)
		}
		switch k.kind {
		case keyNumber:
			put(&a.numbers, k.low, at)
		case keyWord:
			put(&a.words, k.text[0], at)
		case keyRange:
			a.ranges = append(a.ranges, interval{low: k.low, high: k.high, ways: at})
		case keyBlock:
			put(&a.blocks, k.block, at)
			if !slices.Contains(a.blockLengths, k.block.Bits()) {
				a.blockLengths = append(a.blockLengths, k.block.Bits())
			}
		default:
			of := texts[k.kind]
			put(&of, k.text, at)
			texts[k.kind] = of
		}
	}
	a.strings, a.folded = texts[keyString], texts[keyFolded]
	a.prefixes, a.suffixes = newPrefixes(texts[keyPrefix], false), newPrefixes(texts[keySuffix], true)
	a.foldedPrefixes, a.foldedSuffixes = newPrefixes(texts[keyFoldedPrefix], false), newPrefixes(texts[keyFoldedSuffix], true)
	slices.SortFunc(a.ranges, func(a, b interval) int { return cmp.Compare(a.low, b.low) })
	prepareRanges(a.ranges)
	return a
}

func put[K comparable](to *map[K]filed, k K, at filed) {
	if *to == nil {
		*to = make(map[K]filed)
	}
	(*to)[k] = at
}

// prefixes finds those of texts that another begins with, or ends with if they are reversed.
type prefixes struct {
	reversed bool
	// texts are sorted. Each has the number of the longest other one that it begins with, -1 if there is none.
	texts   []string
	parents []int32
	ways    []filed
}

func newPrefixes(found map[string]filed, reversed bool) *prefixes {
	if found == nil {
		return nil
	}
	p := &prefixes{reversed: reversed}
	ways := make(map[string]filed, len(found))
	for text, at := range found {
		if reversed {
			text = string(appendReversed(nil, text))
		}
		p.texts = append(p.texts, text)
		ways[text] = at
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

// interval is one of a sorted slice that is a balanced tree: of each part the middle is the root.
type interval struct {
	low, high float64
	most      float64 // the highest end in the part of which this one is the root
	ways      filed
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
