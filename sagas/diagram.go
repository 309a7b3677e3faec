package sagas

import (
	"fmt"
	"slices"
	"strings"
)

// mark is how a diagram shows a step of an instance.
type mark struct {
	name, color string
	of          []StepStatus
}

// marks are all marks, the most worrying first: of the steps of several items a diagram shows the first that one of them has.
var marks = []mark{
	{"stuck", "#d33682", []StepStatus{NotUndone}},
	{"failed", "#e5534b", []StepStatus{NotDone, Unknown}},
	{"undoing", "#e8a33d", []StepStatus{Undoing, Late}},
	{"open", "#f2d45c", []StepStatus{Open}},
	{"undone", "#b9a7d6", []StepStatus{Undone}},
	{"done", "#8fce9b", []StepStatus{Done}},
	{"dropped", "#cfd4d9", []StepStatus{Dropped, Skipped}},
}

// drawn is what the diagrams of a saga have in common: what is said of each part, and how far an instance has come.
type drawn struct {
	saga *Saga
	// steps are those of the instance by the name in the definition; those of the items are one after another.
	steps map[string][]Step
	began bool
}

func (s *Saga) drawn(i *Instance) *drawn {
	d := &drawn{saga: s, steps: make(map[string][]Step)}
	if i == nil {
		return d
	}
	d.began = len(i.Steps) > 0
	for _, one := range i.Steps {
		name, _, _ := strings.Cut(one.Name, "[")
		d.steps[name] = append(d.steps[name], one)
	}
	return d
}

// title says which saga it is, and how far the instance has come.
func (d *drawn) title(i *Instance) string {
	title := fmt.Sprintf("%s version %d", d.saga.name, d.saga.version)
	if i != nil && i.ID != "" {
		title += fmt.Sprintf(", %s: %s", i.ID, i.Status)
	}
	return title
}

// mark returns which of marks a step has; -1: it has not begun.
func (d *drawn) mark(name string) int {
	return slices.IndexFunc(marks, func(m mark) bool {
		return slices.ContainsFunc(d.steps[name], func(s Step) bool { return slices.Contains(m.of, s.Status) })
	})
}

// reaches reports whether a step of some steps has begun.
func (d *drawn) reaches(s sequence) (begun bool) {
	s.each(func(name string) { begun = begun || len(d.steps[name]) > 0 })
	return begun
}

// chosen returns the ways that were chosen at a step, of all items; -1 among them: none of those that have a condition.
func (d *drawn) chosen(name string) (ways []int) {
	for _, s := range d.steps[name] {
		if s.Status == Done {
			ways = append(ways, s.Branch)
		}
	}
	return ways
}

// lines are what is said of a step: its name, what it does, and how far it has come.
func (d *drawn) lines(t *task) []string {
	what := string(t.kind)
	switch {
	case t.kind == kindReceive:
		what += " " + d.saga.typeName(t)
	case t.kind == kindAnswer:
		what = strings.TrimSpace("ask " + t.about)
	case t.kind == kindUndo:
		what = strings.TrimSpace("on undo " + t.about)
	case t.kind == kindFail:
		what += " " + t.code
	case t.about != "":
		what += " " + t.about
	}
	if t.undo != nil && t.kind != kindUndo {
		what += ", can be undone"
	}
	lines := []string{t.name, what}
	if state := d.state(t.name); state != "" {
		lines = append(lines, state)
	}
	return lines
}

// state says how far a step has come, and of those of several items how many have come how far.
func (d *drawn) state(name string) string {
	all := d.steps[name]
	if len(all) == 1 && !strings.Contains(all[0].Name, "[") {
		if all[0].Code != "" {
			return fmt.Sprintf("%s: %s", all[0].Status, all[0].Code)
		}
		return string(all[0].Status)
	}
	counts := make(map[StepStatus]int)
	var order []StepStatus
	for _, s := range all {
		if counts[s.Status]++; counts[s.Status] == 1 {
			order = append(order, s.Status)
		}
	}
	slices.Sort(order)
	var parts []string
	for _, status := range order {
		parts = append(parts, fmt.Sprintf("%d %s", counts[status], status))
	}
	return strings.Join(parts, ", ")
}

// ways are those of a choice, as a diagram shows them: with an empty one for data of which no condition is true, if there can be such.
func (b *branches) drawnWays() (labels []string, ways []sequence) {
	labels, ways = slices.Clone(b.labels), slices.Clone(b.ways)
	if !slices.Contains(labels, labelOtherwise) {
		labels, ways = append(labels, labelOtherwise), append(ways, nil)
	}
	return labels, ways
}

// takes reports whether an instance has gone a way of a choice, as drawnWays returns them.
func (d *drawn) takes(b *branches, way int) bool {
	chosen := d.chosen(b.name)
	return slices.Contains(chosen, way) || way >= len(b.ways) && slices.Contains(chosen, -1)
}

// says is what is said of ways that are gone at once.
func (p *parallel) says() string {
	switch p.enough {
	case len(p.ways):
		return "all"
	case 1:
		return "any"
	}
	return fmt.Sprintf("%d of %d", p.enough, len(p.ways))
}

// says is what is said of steps for several items.
func (m *items) says() string {
	text := "for each item"
	if m.atOnce > 0 {
		text += fmt.Sprintf(", %d at once", m.atOnce)
	}
	if m.tolerated > 0 {
		text += fmt.Sprintf(", %d may fail", m.tolerated)
	}
	return text
}

func (c *catch) says() string {
	if len(c.codes) == 0 {
		return "any failure"
	}
	return strings.Join(c.codes, ", ")
}
