package pattern

// trie has the paths that patterns name. It is copied where it changes, so that a matcher in use goes
// on with its own.
type trie struct {
	root *node
	size int32 // how many nodes there are, which is one more than the largest id
}

// node is a place in an event: the envelope, a member of it, a member of that.
type node struct {
	id int32
	// wanted says that a path ends here: values here are looked at.
	wanted   bool
	children []child
	// byKey has the children, if they are many.
	byKey map[string]*node
	// owner made this node, and may change it.
	owner *growth
}

type child struct {
	key  string
	node *node
}

// manyChildren is from how many on a map is faster than to compare with each.
const manyChildren = 8

// child returns nil if there is none.
func (n *node) child(key string) *node {
	if n == nil {
		return nil
	}
	if n.byKey != nil {
		return n.byKey[key]
	}
	for i := range n.children {
		if n.children[i].key == key {
			return n.children[i].node
		}
	}
	return nil
}

// growth adds paths to a trie, and leaves the one that it began with alone.
type growth struct{ trie }

// grow returns a growth of a trie, the zero value is an empty one.
func (t trie) grow() *growth { return &growth{t} }

// add returns the id of the node at the end of a path.
func (g *growth) add(path []string) int32 {
	g.root = g.own(g.root)
	n := g.root
	for _, key := range path {
		next := n.child(key)
		if next != nil && next.owner == g {
			n = next
			continue
		}
		added := g.own(next)
		n.set(key, added)
		n = added
	}
	n.wanted = true
	return n.id
}

// own returns a node that may be changed: this one, its copy or a new one.
func (g *growth) own(n *node) *node {
	if n == nil {
		g.size++
		return &node{id: g.size - 1, owner: g}
	}
	if n.owner == g {
		return n
	}
	own := &node{id: n.id, wanted: n.wanted, owner: g}
	for _, c := range n.children {
		own.set(c.key, c.node)
	}
	return own
}

func (n *node) set(key string, to *node) {
	for i := range n.children {
		if n.children[i].key == key {
			n.children[i].node = to
			if n.byKey != nil {
				n.byKey[key] = to
			}
			return
		}
	}
	n.children = append(n.children, child{key, to})
	switch {
	case n.byKey != nil:
		n.byKey[key] = to
	case len(n.children) > manyChildren:
		n.byKey = make(map[string]*node, len(n.children))
		for _, c := range n.children {
			n.byKey[c.key] = c.node
		}
	}
}
