package app

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

// sagaInvariant holds if no instance waits for anything but what is to come: for an operator, or for a time that has passed.
var sagaInvariant = Invariant{
	Name: "sagas", Holds: "instances come to an end: none is stuck, waits for a time that has passed, or has left a step open",
	New: func() InvariantFold {
		return &sagaFold{open: make(map[string]sagaUnderWay), ends: make(map[sagas.Status]int64)}
	},
}

// sagaFold has the instances that have not ended, or undo what was done late, by stream.
type sagaFold struct {
	open map[string]sagaUnderWay
	ends map[sagas.Status]int64
}

type sagaUnderWay struct {
	sagas.Instance
	position int64
	at       time.Time
}

// Apply implements InvariantFold.
func (f *sagaFold) Apply(event any, at projections.Recorded) {
	e, ok := event.(sagas.Event)
	if !ok {
		return
	}
	i, known := f.open[at.Stream]
	if !known && at.Version > 0 {
		i.Status = sagas.Completed // it had ended, and was forgotten
	}
	ended := i.Status.IsEnd()
	i.Instance, i.position, i.at = e.Evolve(i.Instance), at.Position, at.RecordedAt
	if i.Status.IsEnd() && !ended {
		f.ends[i.Status]++
	}
	if i.Status.IsEnd() && !slices.ContainsFunc(i.Steps, func(s sagas.Step) bool { return isUnderWay(s) || s.Status == sagas.NotUndone }) {
		delete(f.open, at.Stream)
		return
	}
	f.open[at.Stream] = i
}

func isUnderWay(s sagas.Step) bool { return s.Status == sagas.Open || s.Status == sagas.Undoing }

// Unsettled implements InvariantFold.
func (f *sagaFold) Unsettled() iter.Seq[Unsettled] {
	return func(yield func(Unsettled) bool) {
		for stream, i := range f.open {
			for _, s := range i.Steps {
				o := Unsettled{Subject: stream, What: "step " + s.Name, Positions: []int64{i.position}}
				switch {
				case s.Status == sagas.NotUndone:
					o.Expected, o.Found = string(sagas.Undone), fmt.Sprintf("stuck: %s %s", s.Code, s.Error)
				case s.Status == sagas.Open && i.Status.IsEnd() && i.Status != sagas.Terminated:
					o.Expected, o.Found, o.Since = "closed, for the instance is "+string(i.Status), string(s.Status), i.at
				case isUnderWay(s) && !s.Until.IsZero() && i.Status != sagas.Terminated:
					o.Expected, o.Found, o.Since = "an end by "+s.Until.UTC().Format(time.RFC3339), string(s.Status), s.Until
				default:
					continue
				}
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Counts implements InvariantFold.
func (f *sagaFold) Counts() (all []InvariantCount) {
	n := maps.Clone(f.ends)
	for _, i := range f.open {
		if !i.Status.IsEnd() {
			n[i.Status]++
		}
	}
	for _, status := range sagas.Statuses() {
		if n[status] > 0 {
			all = append(all, InvariantCount{string(status), n[status]})
		}
	}
	return all
}
