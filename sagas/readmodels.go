package sagas

import (
	"iter"
	"strings"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// InstanceKey is what an instance is known by.
type InstanceKey struct {
	Saga string
	ID   string
}

// InstanceRow is how far an instance has come, as the read model Instances has it.
type InstanceRow struct {
	// Definition is the version of the definition that it goes by; 0: it has not begun.
	Definition int
	Status     string
	// Step is the open one that began last, or one that cannot be undone; empty: there is none.
	Step string
	// Open are all that are open, are being undone or cannot be.
	Open []OpenStep
	// Undoing says that what is done is being undone.
	Undoing bool
	// StartedAt is when it began, or when the first message came for it; EndedAt when it ended.
	StartedAt time.Time
	ChangedAt time.Time
	EndedAt   *time.Time
	// Code and Error say why it failed.
	Code  string
	Error string
	// Events is how many it has.
	Events int64
}

// OpenStep is a step in InstanceRow.
type OpenStep struct {
	Name   string     `json:"name"`
	Status StepStatus `json:"status"`
	Number int64      `json:"number"`
	Until  time.Time  `json:"until,omitzero"`
}

// Instances is the read model of all instances, for lists.
var Instances = newInstances()

func newInstances() *projections.Fold[InstanceKey, InstanceRow] {
	f := projections.NewFold[InstanceKey, InstanceRow](projections.Table{Name: "saga_instances", Version: 1, Indexes: []projections.Index{
		{Columns: []string{"changed_at"}},
		{Columns: []string{"saga", "changed_at"}},
		{Columns: []string{"status", "changed_at"}},
		{Columns: []string{"saga", "status", "changed_at"}},
		{Columns: []string{"saga", "step", "changed_at"}},
	}})
	changesInstance(f, func(e Started) time.Time { return e.At })
	changesInstance(f, func(e Received) time.Time { return e.At })
	changesInstance(f, func(e StepScheduled) time.Time { return e.At })
	changesInstance(f, func(e StepCompleted) time.Time { return e.At })
	changesInstance(f, func(e StepFailed) time.Time { return e.At })
	changesInstance(f, func(e StepDropped) time.Time { return e.At })
	changesInstance(f, func(e CompensationBegan) time.Time { return e.At })
	changesInstance(f, func(e CompensationScheduled) time.Time { return e.At })
	changesInstance(f, func(e Compensated) time.Time { return e.At })
	changesInstance(f, func(e CompensationFailed) time.Time { return e.At })
	changesInstance(f, func(e Ended) time.Time { return e.At })
	changesInstance(f, func(e Intervened) time.Time { return e.At })
	return f
}

func changesInstance[E Event](f *projections.Fold[InstanceKey, InstanceRow], at func(E) time.Time) {
	projections.Upsert(f, func(_ E, r projections.Recorded) InstanceKey { return keyOf(r.Stream) }, func(row *InstanceRow, e E, _ projections.Recorded) error {
		row.change(e, at(e))
		return nil
	})
}

// keyOf returns the key of the instance with a stream.
func keyOf(stream string) InstanceKey {
	saga, id, _ := strings.Cut(eventstore.StreamID(stream), "-")
	return InstanceKey{saga, id}
}

// change changes the row as the event changes the instance, by the same rules. Steps that are closed and data are left out of it, for the row is
// written with every event.
func (row *InstanceRow) change(e Event, at time.Time) {
	i := Instance{Version: row.Definition, Status: Status(row.Status), Reversing: row.Undoing, Code: row.Code, Error: row.Error, Events: row.Events}
	for _, s := range row.Open {
		i.Steps = append(i.Steps, Step{Name: s.Name, Status: s.Status, Number: s.Number, Until: s.Until})
	}
	i = e.Evolve(i)
	row.Definition, row.Status, row.Undoing, row.Code, row.Error, row.Events = i.Version, string(i.Status), i.Reversing || i.Cancelling, i.Code, i.Error, i.Events
	row.Open, row.Step = nil, ""
	stuck := false
	for _, s := range i.Steps {
		if s.Status != Open && s.Status != Undoing && s.Status != NotUndone {
			continue
		}
		row.Open = append(row.Open, OpenStep{s.Name, s.Status, s.Number, s.Until})
		if s.Status == NotUndone || !stuck {
			row.Step, stuck = s.Name, stuck || s.Status == NotUndone
		}
	}
	if row.StartedAt.IsZero() {
		row.StartedAt = at
	}
	if row.ChangedAt = at; i.Status.IsEnd() && row.EndedAt == nil {
		row.EndedAt = &at
	}
}

// TimerKey is what a timer is known by.
type TimerKey struct {
	Saga string
	ID   string
	Step string
}

// TimerRow is a step, or its undoing, that has a deadline, or a wait.
type TimerRow struct {
	FireAt time.Time
	// Number is that of Step.
	Number int64
}

// Timers is the read model of what has a time: it has a row for each step that is open, or being undone.
var Timers = newTimers()

func newTimers() *projections.Fold[TimerKey, TimerRow] {
	f := projections.NewFold[TimerKey, TimerRow](projections.Table{Name: "saga_timers", Version: 1, Indexes: []projections.Index{
		{Columns: []string{"saga", "fire_at"}},
	}})
	sets(f, func(e StepScheduled) (string, time.Time) { return e.Step, e.Until })
	sets(f, func(e CompensationScheduled) (string, time.Time) { return e.Step, e.Until })
	unsets(f, func(e StepCompleted) string { return e.Step })
	unsets(f, func(e StepFailed) string { return e.Step })
	unsets(f, func(e StepDropped) string { return e.Step })
	unsets(f, func(e Compensated) string { return e.Step })
	unsets(f, func(e CompensationFailed) string { return e.Step })
	unsets(f, func(e Intervened) string {
		if e.Act == Skip {
			return e.Step
		}
		return ""
	})
	return f
}

func timerOf(stream, step string) TimerKey {
	k := keyOf(stream)
	return TimerKey{k.Saga, k.ID, step}
}

func sets[E any](f *projections.Fold[TimerKey, TimerRow], of func(E) (step string, until time.Time)) {
	projections.UpsertEach(f, func(e E, r projections.Recorded) iter.Seq2[TimerKey, time.Time] {
		return func(yield func(TimerKey, time.Time) bool) {
			if step, until := of(e); !until.IsZero() {
				yield(timerOf(r.Stream, step), until)
			}
		}
	}, func(row *TimerRow, until time.Time, r projections.Recorded) error {
		*row = TimerRow{until, r.Version}
		return nil
	})
}

func unsets[E any](f *projections.Fold[TimerKey, TimerRow], of func(E) (step string)) {
	projections.DeleteEach(f, func(e E, r projections.Recorded) iter.Seq[TimerKey] {
		return func(yield func(TimerKey) bool) {
			if step := of(e); step != "" {
				yield(timerOf(r.Stream, step))
			}
		}
	})
}
