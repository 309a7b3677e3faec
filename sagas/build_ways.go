package sagas

import (
	"encoding/json"
	"slices"
)

// Way is a way that may be chosen.
type Way[D any] struct {
	label     string
	when      func(D) bool
	otherwise bool
	steps     func(*Steps[D])
}

// When is a way for data of which a condition is true.
func When[D any](label string, is func(D) bool, steps func(*Steps[D])) Way[D] {
	return Way[D]{label, is, false, steps}
}

const labelOtherwise = "otherwise"

// Otherwise is the way if no other one is.
func Otherwise[D any](steps func(*Steps[D])) Way[D] {
	return Way[D]{labelOtherwise, nil, true, steps}
}

// Choose goes the first way whose condition is true; if there is none, it goes on behind it. What was chosen once stays so.
func (s *Steps[D]) Choose(name string, ways ...Way[D]) {
	s.takeName(name)
	if len(ways) == 0 {
		s.saga.mistake("step %q has no ways to choose from", name)
	}
	b := &branches{name: name}
	for i, w := range ways {
		switch {
		case w.when == nil && !w.otherwise:
			s.saga.mistake("step %q: way %q has no condition", name, w.label)
		case w.otherwise && i < len(ways)-1:
			s.saga.mistake("step %q: what is behind Otherwise is never chosen", name)
		}
		b.labels, b.ways = append(b.labels, w.label), append(b.ways, s.inner(w.steps))
	}
	b.choose = func(data map[string]json.RawMessage) (int, error) {
		var d D
		if err := unmarshal(data, &d); err != nil {
			return 0, err
		}
		return slices.IndexFunc(ways, func(w Way[D]) bool { return w.otherwise || w.when(d) }), nil
	}
	s.nodes = append(s.nodes, b)
}

// All goes all ways at once, until all have come to their end. If one fails all have failed.
func (s *Steps[D]) All(name string, ways ...func(*Steps[D])) { s.Quorum(name, len(ways), ways...) }

// Any goes all ways at once, until one has come to its end. What the others have done is undone.
func (s *Steps[D]) Any(name string, ways ...func(*Steps[D])) { s.Quorum(name, 1, ways...) }

// Quorum goes all ways at once, until so many have come to their end. What the others have done is undone.
func (s *Steps[D]) Quorum(name string, enough int, ways ...func(*Steps[D])) {
	s.takeName(name)
	p := &parallel{name: name, enough: enough}
	if enough < 1 || enough > len(ways) {
		s.saga.mistake("step %q: %d of %d ways cannot be enough", name, enough, len(ways))
	}
	for i, w := range ways {
		p.ways = append(p.ways, s.inner(w))
		if len(p.ways[i]) == 0 {
			s.saga.mistake("step %q: way %d has no steps", name, i+1)
		}
	}
	s.nodes = append(s.nodes, p)
}

// Items say how Each goes about it. The zero value: all at once, and none may fail.
type Items struct {
	// AtOnce is how many are under way at once; 0: all.
	AtOnce int
	// Tolerated is how many may fail. What they have done until then is undone when the others have ended.
	Tolerated int
}

// Each does steps for each of so many items. The names of the steps end with the index, as in ship[2]. Steps of a command, a call and so on are the
// same for each item but for the index. Items that are under way at once must not change the same member of the data: the last would win.
func (s *Steps[D]) Each(name string, count func(D) int, steps func(s *Steps[D], item int), how Items) {
	if count == nil {
		s.saga.mistake("step %q has no function that says how many items there are", name)
	}
	s.each(name, func(data map[string]json.RawMessage) (int, error) {
		var d D
		if err := unmarshal(data, &d); err != nil {
			return 0, err
		}
		return max(count(d), 0), nil
	}, steps, how)
}

func (s *Steps[D]) each(name string, count func(data map[string]json.RawMessage) (int, error), steps func(s *Steps[D], item int), how Items) {
	s.takeName(name)
	var first sequence
	if steps != nil {
		first = s.inner(func(b *Steps[D]) { steps(b, 0) })
	}
	m := &items{name: name, atOnce: how.AtOnce, tolerated: how.Tolerated, count: count,
		body: func(i int) sequence {
			if i == 0 || steps == nil {
				return first
			}
			b := &Steps[D]{saga: &Saga{further: true}}
			steps(b, i)
			return b.nodes
		}}
	s.nodes = append(s.nodes, m)
	switch second := namesOf(m.body(1)); {
	case len(first) == 0:
		s.saga.mistake("step %q has no steps for its items", name)
	case !slices.Equal(namesOf(first), second):
		s.saga.mistake("step %q: the steps of item 0 are %q, those of item 1 %q: they must be the same", name, namesOf(first), second)
	}
	if how.AtOnce < 0 || how.Tolerated < 0 {
		s.saga.mistake("step %q: how many are under way at once and how many may fail must not be negative", name)
	}
}

func namesOf(s sequence) (names []string) {
	s.each(func(name string) { names = append(names, name) })
	return names
}

// Catch is what is done when steps have failed.
type Catch[D any] struct {
	codes []string
	steps func(*Steps[D])
}

// On catches failures of some codes; without any: all.
func On[D any](steps func(*Steps[D]), codes ...string) Catch[D] { return Catch[D]{codes, steps} }

// Try does steps, and others if they fail with a code that is caught; then it goes on behind it. What was done is not undone, only the
// step that has failed, if it may have come about all the same.
func (s *Steps[D]) Try(name string, steps func(*Steps[D]), catches ...Catch[D]) {
	s.takeName(name)
	a := &attempted{name: name, body: s.inner(steps)}
	if len(a.body) == 0 {
		s.saga.mistake("step %q tries no steps", name)
	}
	if len(catches) == 0 {
		s.saga.mistake("step %q catches nothing: it needs an On", name)
	}
	for i, c := range catches {
		if len(c.codes) == 0 && i < len(catches)-1 {
			s.saga.mistake("step %q: what is behind an On for all codes never catches anything", name)
		}
		if slices.Contains(c.codes, "") {
			s.saga.mistake("step %q catches a failure without a code, which there is not", name)
		}
		a.catches = append(a.catches, catch{c.codes, s.inner(c.steps)})
	}
	s.nodes = append(s.nodes, a)
}
