package sagas

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// part are steps of a definition: those with some names, inside of some items.
type part struct {
	names  map[string]bool // nil: all
	suffix string
}

var everything part

func (p part) has(step string) bool {
	if p.names == nil {
		return true
	}
	name, _, _ := strings.Cut(step, "[")
	return p.names[name] && strings.HasPrefix(step[len(name):], p.suffix)
}

// partOf returns the steps of a part of the definition, inside of the items that are walked.
func (w *walker) partOf(n node) part {
	names := make(map[string]bool)
	n.each(func(name string) { names[name] = true })
	return part{names, w.suffix}
}

// letGo ends open steps of a part that nobody waits for any more: those that only wait for others, or all. It reports whether
// others are open.
func (w *walker) letGo(of part, all bool) (open bool) {
	for _, s := range slices.Clone(w.i.Steps) {
		if s.Status != Open || !of.has(s.Name) {
			continue
		}
		t := w.saga.find(s.Name)
		switch {
		case w.mode != begins:
			open = true
		case all || t == nil || t.kind == kindAnswer || t.kind == kindReceive || t.kind == kindWait:
			// Who was asked may have done it, and need not answer. A call ends, and what came of it is said.
			w.emit(StepDropped{Step: s.Name, Unknown: t != nil && t.kind == kindAnswer, At: w.now})
		default:
			open = true
		}
	}
	return open
}

// undo undoes what is done of a part, one step after another, the last first, and reports whether nothing is left. Lost is only what
// has failed and has come about all the same, or may have.
func (w *walker) undo(of part, lost bool) bool {
	next := -1
	for at := range w.i.Steps {
		s := &w.i.Steps[at]
		if !of.has(s.Name) {
			continue
		}
		switch s.Status {
		case Undoing, NotUndone:
			return false
		case Done:
			if lost {
				continue
			}
			fallthrough
		case Unknown, Late:
			if w.saga.Undoes(s.Name) && (next < 0 || s.order() >= w.i.Steps[next].order()) {
				next = at
			}
		}
	}
	if next < 0 {
		return true
	}
	w.emit(w.saga.undoing(w.i.Steps[next].Name, w.now))
	return false
}

// Undoes reports whether a step can be undone.
func (s *Saga) Undoes(step string) bool {
	t := s.find(step)
	return t != nil && t.undo != nil
}

// undoing returns the event that begins to undo a step.
func (s *Saga) undoing(step string, now time.Time) Event {
	e := CompensationScheduled{Step: step, Until: now.Add(DefaultDeadline), At: now}
	if t := s.find(step); t != nil {
		e.Until = now.Add(cmp.Or(t.within, DefaultDeadline))
	}
	return e
}

// order is that in which steps have come about. One of which nobody knows when may have been the last.
func (s *Step) order() int64 {
	if s.Status != Done {
		return math.MaxInt64
	}
	return s.Ended
}

// isOutside reports whether others do the step, so that nobody knows what became of it if no answer comes.
func (t *task) isOutside() bool { return t.kind == kindCall || t.kind == kindAnswer }

func (s *Saga) isOutside(step string) bool {
	t := s.find(step)
	return t != nil && t.isOutside()
}
