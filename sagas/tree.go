package sagas

import (
	"strconv"
	"strings"
)

// find returns the task that a step is of, such as that of the third item for ship[2]; nil: there is none.
func (s *Saga) find(step string) *task {
	name, rest, isItem := strings.Cut(step, "[")
	var at []int
	if isItem {
		for text := range strings.SplitSeq(rest, "[") {
			i, err := strconv.Atoi(strings.TrimSuffix(text, "]"))
			if err != nil {
				return nil
			}
			at = append(at, i)
		}
	}
	return s.root.find(name, at)
}

func (s sequence) each(do func(string)) {
	for _, n := range s {
		n.each(do)
	}
}

func (t *task) each(do func(string)) { do(t.name) }

func (b *branches) each(do func(string)) {
	do(b.name)
	for _, way := range b.ways {
		way.each(do)
	}
}

func (p *parallel) each(do func(string)) {
	for _, way := range p.ways {
		way.each(do)
	}
}

func (m *items) each(do func(string)) {
	do(m.name)
	m.body(0).each(do)
}

func (a *attempted) each(do func(string)) {
	do(a.name)
	a.body.each(do)
	for _, c := range a.catches {
		c.way.each(do)
	}
}

func (s sequence) find(name string, at []int) *task {
	for _, n := range s {
		if t := n.find(name, at); t != nil {
			return t
		}
	}
	return nil
}

func (t *task) find(name string, at []int) *task {
	if t.name != name || len(at) > 0 {
		return nil
	}
	return t
}

func (b *branches) find(name string, at []int) *task { return findIn(b.ways, name, at) }
func (p *parallel) find(name string, at []int) *task { return findIn(p.ways, name, at) }

func findIn(ways []sequence, name string, at []int) *task {
	for _, way := range ways {
		if t := way.find(name, at); t != nil {
			return t
		}
	}
	return nil
}

func (m *items) find(name string, at []int) *task {
	if len(at) == 0 {
		return nil
	}
	return m.body(at[0]).find(name, at[1:])
}

func (a *attempted) find(name string, at []int) *task {
	if t := a.body.find(name, at); t != nil {
		return t
	}
	for _, c := range a.catches {
		if t := c.way.find(name, at); t != nil {
			return t
		}
	}
	return nil
}
