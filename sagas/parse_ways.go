package sagas

import (
	"encoding/json"
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/57528e99/recount/delivery/pattern"
)

// way is a way that may be chosen, or that is gone beside others.
type way struct {
	object
	steps adder
}

// ways reads a list of ways: objects with steps, and other members.
func (p *parser) ways(at place, items []string, others ...string) (all []way) {
	for _, one := range at.list(`ways, as in {"steps": […]}`) {
		o, ok := one.object(`a way, as in {"steps": […]},`)
		if !ok {
			continue
		}
		o.only("a way", append(others, "steps")...)
		w := way{object: o}
		if at, ok := o.member("steps", "a list of steps"); ok && (at.Kind != yaml.SequenceNode || len(at.Content) > 0) {
			w.steps = p.steps(at, items)
		}
		all = append(all, w)
	}
	return all
}

// add adds the steps of the way.
func (w way) add(in itemsAround) func(*Steps[fields]) {
	return func(b *Steps[fields]) {
		if w.steps != nil {
			w.steps(b, in)
		}
	}
}

func (p *parser) choose(s stepText) adder {
	ways := p.ways(s.what, s.items, "when", "label")
	conditions, labels := make([]func(fields) bool, len(ways)), make([]string, len(ways))
	for i, w := range ways {
		at, ok := w.members["when"]
		switch {
		case ok:
			conditions[i], labels[i] = p.condition(at, s.items)
		case i < len(ways)-1:
			w.mistake("a way without a condition is that for all others, and the last: give this one the member when")
			conditions[i] = never
		}
		if at, ok := w.members["label"]; ok {
			labels[i], _ = at.text("a text")
		}
	}
	if len(ways) == 0 {
		return nil
	}
	return func(b *Steps[fields], in itemsAround) {
		var all []Way[fields]
		for i, w := range ways {
			one := Otherwise(w.add(in))
			if is := conditions[i]; is != nil {
				one = When(labels[i], func(data fields) bool {
					data, err := in.over(data)
					return err == nil && is(data)
				}, w.add(in))
			}
			all = append(all, one)
		}
		b.Choose(s.name, all...)
	}
}

// never is the condition where there is a mistake.
func never(fields) bool { return false }

// condition reads a pattern about the data.
func (p *parser) condition(at place, items []string) (is func(fields) bool, text string) {
	v := at.value(func(at place, _ pointer) {
		at.mistake("a condition compares with literals only: let a function that is called put what they make into the data")
	})
	o, ok := at.object("a condition")
	if !ok || v.literal == nil {
		return never, ""
	}
	compiled, err := pattern.Compile([]byte(`{"data":` + string(v.literal) + `}`))
	var wrong *pattern.Error
	if errors.As(err, &wrong) {
		at.at(strings.TrimPrefix(wrong.Pointer, "/data")).mistake("%s", wrong.Reason)
		return never, ""
	}
	for name, m := range o.members {
		if name != "$or" {
			p.used = append(p.used, use{m, name, items})
		}
	}
	matcher := &pattern.Matcher[bool]{}
	matcher.Add(true, compiled)
	return func(data fields) bool {
		text, err := json.Marshal(data)
		return err == nil && len(matcher.Match(&pattern.Event{Data: text}, nil)) > 0
	}, string(v.literal)
}

func (p *parser) all(s stepText) adder {
	ways := p.ways(s.what, s.items)
	return p.parallel(s, ways, len(ways))
}

func (p *parser) any(s stepText) adder { return p.parallel(s, p.ways(s.what, s.items), 1) }

func (p *parser) quorum(s stepText) adder {
	enough := s.what.integer(1)
	at, ok := s.member("ways", `a list of ways, as in {"steps": […]}`)
	if !ok {
		return nil
	}
	return p.parallel(s, p.ways(at, s.items), enough)
}

func (p *parser) parallel(s stepText, ways []way, enough int) adder {
	if len(ways) == 0 {
		return nil
	}
	return func(b *Steps[fields], in itemsAround) {
		var all []func(*Steps[fields])
		for _, w := range ways {
			all = append(all, w.add(in))
		}
		b.Quorum(s.name, enough, all...)
	}
}

func (p *parser) each(s stepText) adder {
	as := "item"
	at, ok := s.members["as"]
	if ok {
		if text, isText := at.text("the name of an item"); isText {
			as = text
		}
	} else {
		at = s.what
	}
	p.itemNames = append(p.itemNames, use{at, as, s.items})
	of := s.what.value(p.uses(s.items))
	if of.from == nil {
		s.what.mistake(`it must be where the list is, as in {"from": "/lines"}`)
		return nil
	}
	var how Items
	if at, ok := s.members["at_once"]; ok {
		how.AtOnce = at.integer(1)
	}
	if at, ok := s.members["tolerated"]; ok {
		how.Tolerated = at.integer(0)
	}
	at, ok = s.member("steps", "a list of steps")
	if !ok {
		return nil
	}
	steps := p.steps(at, append(s.items[:len(s.items):len(s.items)], as))
	if steps == nil {
		return nil
	}
	return func(b *Steps[fields], in itemsAround) {
		b.each(s.name, func(data map[string]json.RawMessage) (int, error) {
			data, err := in.over(data)
			if err != nil {
				return 0, err
			}
			list, err := (&item{of: &of}).list(data)
			return len(list), err
		}, func(b *Steps[fields], i int) {
			steps(b, append(in[:len(in):len(in)], item{as, &of, i}))
		}, how)
	}
}

func (p *parser) try(s stepText) adder {
	steps := p.steps(s.what, s.items)
	at, ok := s.member("catch", `what is done after a failure, as in [{"codes": ["declined"], "steps": […]}]`)
	if !ok {
		return nil
	}
	ways := p.ways(at, s.items, "codes")
	if steps == nil || len(ways) == 0 {
		return nil
	}
	codes := make([][]string, len(ways))
	for i, w := range ways {
		at, ok := w.members["codes"]
		if !ok {
			if i < len(ways)-1 {
				w.mistake("a catch without codes is for all failures, and the last: give this one the member codes")
				codes[i] = []string{"none"}
			}
			continue
		}
		for _, one := range at.list("codes of failures") {
			text, _ := one.text("the code of a failure")
			codes[i] = append(codes[i], text)
		}
	}
	return func(b *Steps[fields], in itemsAround) {
		var all []Catch[fields]
		for i, w := range ways {
			all = append(all, On(w.add(in), codes[i]...))
		}
		b.Try(s.name, way{steps: steps}.add(in), all...)
	}
}
