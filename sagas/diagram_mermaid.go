package sagas

import (
	"fmt"
	"slices"
	"strings"
)

// Mermaid returns the saga as a flowchart of Mermaid. With an instance it shows how far that has come; nil: without.
func (s *Saga) Mermaid(i *Instance) string {
	m := &mermaid{drawn: s.drawn(i), classes: make([][]string, len(marks))}
	m.line("---")
	m.line("title: %s", quoted(m.title(i)))
	m.line("---")
	m.line("flowchart TD")
	m.depth = 1
	m.line("begin((begin))")
	m.line("finish((end))")
	m.join(m.sequence(s.root, []edge{{from: "begin", thick: m.began}}), "finish")
	for at, names := range m.classes {
		if len(names) > 0 {
			m.line("classDef %s fill:%s,color:#000", marks[at].name, marks[at].color)
			m.line("class %s %s", strings.Join(names, ","), marks[at].name)
		}
	}
	return m.text.String()
}

type mermaid struct {
	*drawn
	text  strings.Builder
	depth int
	nodes int
	// classes are the nodes of each mark.
	classes [][]string
}

// edge leads from a node to the next one.
type edge struct {
	from, label string
	thick       bool
}

func (m *mermaid) line(format string, args ...any) {
	fmt.Fprintf(&m.text, strings.Repeat("    ", m.depth)+format+"\n", args...)
}

// quoted returns text as Mermaid reads it between quotes.
func quoted(text string) string {
	var to strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			to.WriteString("<br>")
		case r < ' ' || strings.ContainsRune("\"<>&#;`\\[]{}()|", r):
			fmt.Fprintf(&to, "#%d;", r)
		default:
			to.WriteRune(r)
		}
	}
	return `"` + to.String() + `"`
}

// node adds a node of a shape, which is what comes before and behind its text.
func (m *mermaid) node(before, after string, mark int, lines ...string) string {
	m.nodes++
	id := fmt.Sprintf("n%d", m.nodes)
	m.line("%s%s%s%s", id, before, quoted(strings.Join(lines, "\n")), after)
	if mark >= 0 {
		m.classes[mark] = append(m.classes[mark], id)
	}
	return id
}

// join leads all edges to a node.
func (m *mermaid) join(edges []edge, to string) {
	for _, e := range edges {
		arrow := "-->"
		if e.thick {
			arrow = "==>"
		}
		if e.label != "" {
			arrow += "|" + quoted(e.label) + "|"
		}
		m.line("%s %s %s", e.from, arrow, to)
	}
}

// sequence draws parts one after another, to which edges lead, and returns those that lead on.
func (m *mermaid) sequence(s sequence, in []edge) []edge {
	for _, n := range s {
		in = m.part(n, in)
	}
	return in
}

func (m *mermaid) part(n node, in []edge) []edge {
	switch n := n.(type) {
	case *task:
		id := m.node("[", "]", m.mark(n.name), m.lines(n)...)
		m.join(in, id)
		if n.kind == kindFail {
			return nil
		}
		return []edge{{from: id, thick: m.is(n.name, Done)}}
	case *branches:
		id := m.node("{", "}", m.mark(n.name), n.name)
		m.join(in, id)
		var out []edge
		labels, ways := n.drawnWays()
		for i, way := range ways {
			out = append(out, m.sequence(way, []edge{{id, labels[i], m.takes(n, i)}})...)
		}
		return out
	case *parallel:
		id := m.node("[/", "\\]", -1, n.name, n.says())
		m.join(in, id)
		end := m.node("[\\", "/]", -1, n.name+" end")
		for _, way := range n.ways {
			m.join(m.sequence(way, []edge{{from: id, thick: m.reaches(way)}}), end)
		}
		return []edge{{from: end}}
	case *items:
		id := m.node("[[", "]]", m.mark(n.name), n.name, n.says())
		m.join(in, id)
		m.group(n.name, n.says(), func() {
			in = m.sequence(n.body(0), []edge{{from: id, thick: m.is(n.name, Done)}})
		})
		return in
	case *attempted:
		group, out := "", []edge(nil)
		id := m.node("([", "])", m.mark(n.name), n.name, "try")
		m.join(in, id)
		group = m.group(n.name, "try", func() { out = m.sequence(n.body, []edge{{from: id, thick: m.reaches(n.body)}}) })
		for i, c := range n.catches {
			caught := m.node(">", "]", -1, c.says())
			m.line("%s -.-> %s", group, caught)
			out = append(out, m.sequence(c.way, []edge{{from: caught, thick: slices.Contains(m.chosen(n.name), i)}})...)
		}
		return out
	}
	return in
}

// group draws a frame around what draw draws.
func (m *mermaid) group(name, says string, draw func()) string {
	m.nodes++
	id := fmt.Sprintf("g%d", m.nodes)
	m.line("subgraph %s[%s]", id, quoted(name+": "+says))
	m.depth++
	draw()
	m.depth--
	m.line("end")
	return id
}

// is reports whether a step has a status, of all items.
func (d *drawn) is(name string, status StepStatus) bool {
	return len(d.steps[name]) > 0 && !slices.ContainsFunc(d.steps[name], func(s Step) bool { return s.Status != status })
}
